/** A worker thread that seals and opens chunks. Large arrays are shared or transferred, not copied. */
import { parentPort } from "node:worker_threads"
import { BufferPool } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto } from "@holdfast/core/node"
import { openEncoded } from "../pipeline.ts"
import { sealChunk } from "../seal.ts"
import type { WorkerAnswer, WorkerRequest } from "./worker-messages.ts"

const port = parentPort!
const buffers = new BufferPool({ maxIdleBytes: 16 * 1024 * 1024 })
const deps = createErasure().then((erasure) => ({ crypto: nodeCrypto, erasure, buffers }))

async function work(request: WorkerRequest): Promise<unknown> {
  if (request.kind === "seal")
    return sealChunk(await deps, request.plaintext, request.coding, request.convergenceSecret, request.target)
  return openEncoded(await deps, request.id, request.key, request.shares)
}

/** The memory of a restored plaintext, when it is whole and ours alone, so that it can move. Shares are in shared memory. */
function transferable(result: unknown): ArrayBuffer[] {
  const { plaintext } = result as { plaintext?: Uint8Array }
  return plaintext && plaintext.byteLength === plaintext.buffer.byteLength ? [plaintext.buffer as ArrayBuffer] : []
}

port.on("message", (request: WorkerRequest) => {
  work(request).then(
    (result) => port.postMessage({ ticket: request.ticket, result } satisfies WorkerAnswer, transferable(result)),
    (error: Error & { code?: string; details?: unknown }) =>
      port.postMessage({
        ticket: request.ticket,
        error: { message: error.message, code: error.code, details: error.details },
      } satisfies WorkerAnswer),
  )
})
