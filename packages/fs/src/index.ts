/** A file system over a tree, for every door: files and directories, verbs, snapshots, capabilities. */
export { damageAt, type LostPlace, lostPlace, placeIn } from "./damage.ts"
export type {
  Change,
  Edit,
  FileSystem,
  Item,
  ItemDifference,
  Location,
  SnapshotInfo,
  Strength,
  Uploads,
  Writer,
  WriteTarget,
} from "./file-system.ts"
export { type Files, type FilesOptions, filesOf, type OpenOptions } from "./files.ts"
export { holdsEntries, identityOf, isBare, type Size, sizeOf, walkItems } from "./items.ts"
export { CircularLink } from "./junctions.ts"
export { formatPath, show } from "./path.ts"
export { noSnapshot } from "./snapshots.ts"
export { copy } from "./verbs/copy.ts"
export { link } from "./verbs/link.ts"
export { mkdir } from "./verbs/mkdir.ts"
export { move } from "./verbs/move.ts"
export { type PatchFileOptions, patch } from "./verbs/patch.ts"
export { notEmpty, notFound, rootStays } from "./verbs/refusals.ts"
export { remove } from "./verbs/remove.ts"
export { type ShareOptions, share } from "./verbs/share.ts"
export { type WriteOptions, write } from "./verbs/write.ts"
