/** What transfers moved, in numbers. */

/** How many bytes and files a transfer moved and left alone. */
export interface TransferTotals {
  files: number
  directories: number
  symlinks: number
  bytes: number
  /** Files that were the same on both sides. */
  unchanged: number
  /** Names, or directories with all in them, that were taken away. */
  removed: number
  /** Files that were stored for themselves, though they are one with a file that has another name. */
  hardLinks: number
}

/** Zero of everything. */
export function noTotals(): TransferTotals {
  return { files: 0, directories: 0, symlinks: 0, bytes: 0, unchanged: 0, removed: 0, hardLinks: 0 }
}

/** Adds `more` to `totals`. */
export function addTotals(totals: TransferTotals, more: TransferTotals): void {
  for (const key of Object.keys(totals) as (keyof TransferTotals)[]) totals[key] += more[key]
}

/** Things that are there now. */
export function doneOf({ files, unchanged, symlinks, removed }: TransferTotals): number {
  return files + unchanged + symlinks + removed
}
