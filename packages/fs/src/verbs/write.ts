/** Writing one file whole. */
import { HoldfastError } from "@holdfast/core"
import type { Location } from "../file-system.ts"
import { holdsEntries } from "../items.ts"
import { show } from "../path.ts"

/** What a file is given besides its content. */
export interface WriteOptions {
  /** Permission bits; 0o644 unless told. */
  readonly mode?: number
  /** When it was modified, in nanoseconds since the epoch; now unless told. */
  readonly mtimeNs?: bigint
}

/**
 * Stores bytes as a file, in place of one that is there; the bytes are not the caller's any more. It is there as a whole or not
 * at all. Throws ERR_IS_A_DIRECTORY, ERR_NOT_FOUND without a directory above, ERR_WRONG_CAPABILITY.
 */
export async function write(
  { files, path }: Location,
  source: Uint8Array | AsyncIterable<Uint8Array>,
  { mode = 0o644, mtimeNs }: WriteOptions = {},
): Promise<void> {
  const writer = files.writer()
  const before = await writer.lookup(path)
  if (before && holdsEntries(before))
    throw new HoldfastError("ERR_IS_A_DIRECTORY", `${show({ files, path })} is a directory.`)
  const [content] = await Promise.all([writer.add(source, { path, before }), writer.flush()])
  const nowNs = BigInt(Math.floor(files.io.env.clock.nowMs())) * 1_000_000n
  await writer.commit([{ path, kind: "file", mode, mtimeNs: mtimeNs ?? nowNs, content }])
}
