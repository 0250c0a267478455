/** Local folders of Node: what is in them goes up, and comes down. */
export { type DownloadOptions, download } from "./download.ts"
export { type ExcludeOptions, ignoreFileName } from "./exclude.ts"
export { type LocalItem, ownIdentities, sameTime, type WalkOptions, walkLocal } from "./local.ts"
export { preview } from "./preview.ts"
export { concernsOne, type Problem } from "./problem.ts"
export { addTotals, doneOf, noTotals, type TransferTotals } from "./totals.ts"
export { type UploadOptions, upload, uploadStream } from "./upload.ts"
