/** Where data lies: grids, volumes over places of one's own, and sessions with them. */
export { acceptGrid } from "./accept-grid.ts"
export { atPlaces, listPlaces } from "./accounts.ts"
export { type AccountTotal, type Administrator, listAccounts, tellNodes, totalsOf } from "./administer.ts"
export { changeVolume, firstKey, followVolume, withLabels, withPlaces, witnessesOf } from "./change.ts"
export { gridName, hasGrid, requireGrid, volumeFor, volumeNames, volumesFor } from "./choose.ts"
export { type GridOptions, openedGrid } from "./grid.ts"
export { describeLead, keysOf, originOf, placesOf } from "./leads.ts"
export { claimPlaces } from "./marker.ts"
export { openBackends } from "./open.ts"
export { bucketAsFound, describedLabels, describePlace, parseLabels, parsePlaces } from "./places.ts"
export { everyPlace, openSession, openVolumeSession, type Session, type SessionOptions } from "./session.ts"
export {
  type DomainSurvival,
  domainSurvivalOf,
  domainText,
  type Spread,
  spreadOf,
  survivalIn,
  survivalOf,
  survivalText,
  uselessWitnesses,
} from "./survives.ts"
export { type PlaceUpgrade, upgradePlaces } from "./upgrade.ts"
