/** A worker thread that seals and opens chunks. Large arrays are moved to and fro, not copied. */
import { parentPort } from "node:worker_threads"
import { BufferPool } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { mappedMemory, nodeCrypto } from "@holdfast/core/node"
import { decodeShare } from "@holdfast/protocol"
import { openEncoded } from "../pipeline.ts"
import { rebuildShares } from "../rebuild.ts"
import { checkShare, sealChunk } from "../seal.ts"
import type { WorkerAnswer, WorkerRequest } from "./worker-messages.ts"

const port = parentPort!
const buffers = new BufferPool({ maxIdleBytes: 16 * 1024 * 1024, allocate: mappedMemory })
const deps = createErasure().then((erasure) => ({ crypto: nodeCrypto, erasure, buffers }))

async function work(request: WorkerRequest): Promise<unknown> {
  if (request.kind === "seal")
    return sealChunk(await deps, request.plaintext, request.coding, request.key, request.target)
  if (request.kind === "check") return (await checkShare(nodeCrypto, request.id, request.share)) !== undefined
  if (request.kind === "rebuild")
    return rebuildShares(await deps, request.shares.map(decodeShare), request.wanted, request.target)
  return openEncoded(await deps, request)
}

/** The arrays that came with a request: shares that were made, and a large plaintext, are views of the target. */
function arraysOf(request: WorkerRequest): readonly Uint8Array[] {
  if (request.kind === "seal") return [request.plaintext, request.target]
  if (request.kind === "check") return [request.share]
  if (request.kind === "rebuild") return [...request.shares, request.target]
  return request.target ? [...request.encoded, request.target] : request.encoded
}

/** Memory to move: all that came, and that of a plaintext. */
function moved(returned: readonly Uint8Array[], result: unknown): ArrayBuffer[] {
  const plaintext = (result as { plaintext?: Uint8Array } | undefined)?.plaintext
  const all = plaintext ? [...returned, plaintext] : returned
  return [...new Set(all.map(({ buffer }) => buffer as ArrayBuffer))]
}

port.on("message", (request: WorkerRequest) => {
  work(request).then(
    (result) => {
      const returned = arraysOf(request)
      port.postMessage({ ticket: request.ticket, result, returned } satisfies WorkerAnswer, moved(returned, result))
    },
    (error: Error & { code?: string; details?: unknown }) =>
      port.postMessage({
        ticket: request.ticket,
        error: { message: error.message, code: error.code, details: error.details },
      } satisfies WorkerAnswer),
  )
})
