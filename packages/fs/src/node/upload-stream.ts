/** Storing what comes as a stream and has no file: standard input. */
import type { Writer } from "../file-system.ts"
import { count } from "./read-local.ts"
import { noTotals, type TransferTotals } from "./totals.ts"

/** Stores one stream, such as stdin, as `path`. */
export async function uploadStream(
  writer: Writer,
  source: AsyncIterable<Uint8Array>,
  path: readonly string[],
  { onBytes, ...attributes }: { mode: number; mtimeNs: bigint; onBytes?: (count: number) => void },
): Promise<TransferTotals> {
  const totals = { ...noTotals(), files: 1 }
  const counted = count(source, (bytes) => {
    totals.bytes += bytes
    onBytes?.(bytes)
  })
  const before = await writer.lookup(path)
  const [content] = await Promise.all([writer.add(counted, { path, before }), writer.flush()])
  await writer.commit([{ path, kind: "file", ...attributes, content }])
  return totals
}
