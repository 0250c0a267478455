/** Tree: directories and files as an encrypted Merkle DAG under a signed root. */
export {
  type CareList,
  careIds,
  decodeCare,
  emptyCare,
  encodeCare,
  joinAccounts,
  readCare,
  withLevels,
} from "./care.ts"
export { isDamage, isOutOfReach, type LostNode, type Whereabouts } from "./damage.ts"
export { type Difference, diff, diffEntries, type EntryDifference } from "./diff.ts"
export { countEntries, type ListOptions, listDirectory, listPages, lookupEntry } from "./directory.ts"
export { type ChildNode, type DirectoryNode, decodeDirectoryNode, encodeDirectoryNode } from "./directory-node.ts"
export { type DirectoryChanges, updateDirectory } from "./directory-update.ts"
export type { FileEdit, WriteEdit, ZeroEdit } from "./edits.ts"
export {
  type Attributes,
  checkEntry,
  type DirectoryEntry,
  decodeEntry,
  type Entry,
  encodeEntry,
  type FileContent,
  type FileEntry,
  type JunctionEntry,
  maxXattrBytes,
  plainAttributes,
  type SymlinkEntry,
  sameAttributes,
  sameContent,
  sameEntry,
  sameXattrs,
  storableTime,
} from "./entry.ts"
export { decodeEntryCap, encodeEntryCap } from "./entry-cap.ts"
export { type DraftCallOptions, FileDraft, type FileDraftOptions } from "./file-draft.ts"
export { isHole, type ReadFileOptions, readFile } from "./file-reader.ts"
export {
  type AddOptions,
  createFileWriter,
  type FileWriter,
  type FileWriterOptions,
} from "./file-writer.ts"
export { createTreeIo, TreeIo, type TreeIoOptions } from "./io.ts"
export { type JunctionContent, openJunction, sealJunction } from "./junction.ts"
export { type LiveSet, liveSetOf } from "./live-set.ts"
export { decodeManifestNode, encodeManifestNode, type ManifestItem, type ManifestNode } from "./manifest.ts"
export { type MergeResult, merge } from "./merge.ts"
export { createMutableFile, mutableFileName, mutableFileOf } from "./mutable-file.ts"
export { checkName, compareNames, nameProblem } from "./name.ts"
export { hasOwnChunks, withOwnChunks } from "./own-chunks.ts"
export { NodePack } from "./pack.ts"
export { PageCache } from "./page-cache.ts"
export { type PatchOptions, patchFile } from "./patch.ts"
export { RandomReader, type RandomReaderOptions, type RandomReadOptions } from "./random-reader.ts"
export { type Reached, type ReachOptions, type ReachStart, reach, reachEntry, Seen, startsOf } from "./reach.ts"
export {
  type DirectoryRef,
  decodeReference,
  encodeReference,
  packedFileBytes,
  type Reference,
  referenceKey,
  sameReference,
} from "./reference.ts"
export { RepeatGuard } from "./repeat-guard.ts"
export { decodeRoot, encodeRoot, type PastRoot, type RootContent, type TreeState } from "./root.ts"
export { CommitSession, type MkdirOptions, type Path } from "./session.ts"
export { Snapshots } from "./snapshot.ts"
export {
  type CommitResult,
  createTree,
  type KeepsPast,
  openTree,
  type Resolution,
  Tree,
  type TreeOptions,
  type TreeVersion,
} from "./tree.ts"
export { chunksOf, type WalkItem, walk } from "./walk.ts"
