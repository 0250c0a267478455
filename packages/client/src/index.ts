/** What belongs to a person and not to a command: recovery kits over the places of a volume. */
export { type Choice, chooseKit, type Held, shortId, type Wish } from "./choose-kit.ts"
export type { LeftBehind } from "./erase-kits.ts"
export {
  type FoundKit,
  type FoundPart,
  groupParts,
  type KitOptions,
  type KitSecret,
  keyOfKit,
  makeKit,
  type OpenedKit,
  openKit,
} from "./kit.ts"
export {
  type KitKeys,
  type KitMemory,
  type KnownKit,
  kitSeed,
  type PendingErasure,
  seedsOf,
} from "./kit-memory.ts"
export { type KitToLay, type LaidKit, type LaidPart, layKit } from "./lay-kit.ts"
export { eraseParts, goodParts, type KitPlaces, type PlaceAnswer, readParts, writeParts } from "./parts.ts"
export { groupSizes, type KitThreshold, kitThreshold, openThreshold, partiesFor } from "./threshold.ts"
