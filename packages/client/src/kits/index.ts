/** Recovery kits over the places of a volume: made, laid, found, opened, erased. */
export { type Choice, chooseKit, shortId, type Wish } from "./choose-kit.ts"
export {
  type FoundKit,
  type FoundPart,
  groupParts,
  type KitSecret,
  keyOfKit,
  makeKit,
  type OpenedKit,
  openKit,
} from "./kit.ts"
export { type KitKeys, type KitMemory, type KnownKit, kitSeed, seedsOf } from "./kit-memory.ts"
export { layKit } from "./lay-kit.ts"
export { eraseParts, goodParts, type PlaceAnswer, readParts } from "./parts.ts"
export { groupSizes, kitThreshold, openThreshold, partiesFor } from "./threshold.ts"
export { writeParts } from "./write-parts.ts"
