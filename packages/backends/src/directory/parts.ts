/** What the parts of an open storage directory share. */
import type { Clock, CryptoProvider } from "@holdfast/core"
import type { Committer } from "./committer.ts"
import type { ShareIndex } from "./database.ts"
import type { ShareFiles } from "./files.ts"
import type { FreeSpace } from "./space.ts"

/** Everything a tenant's view works with. */
export interface EngineParts {
  readonly crypto: CryptoProvider
  readonly clock: Clock
  readonly index: ShareIndex
  readonly committer: Committer
  readonly files: ShareFiles
  readonly space: FreeSpace
  /** Runs an operation that closing must know of. */
  track<T>(operation: () => Promise<T>): Promise<T>
  /** Counts a share that could not be read from the disk. */
  readFailed(): void
}

/** Shares smaller than this live in the index, larger ones in files. */
export const smallShareBytes = 64 * 1024
