/** A worker thread that seals and opens chunks. Buffers are transferred, not copied. */
import { parentPort } from "node:worker_threads"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto } from "@holdfast/core/node"
import { openEncoded } from "../pipeline.ts"
import { sealChunk } from "../seal.ts"
import type { WorkerAnswer, WorkerRequest } from "./worker-messages.ts"

const port = parentPort!
const deps = createErasure().then((erasure) => ({ crypto: nodeCrypto, erasure }))

async function work(request: WorkerRequest): Promise<unknown> {
  if (request.kind === "seal")
    return sealChunk(await deps, request.plaintext, request.coding, request.convergenceSecret)
  return openEncoded(await deps, request.id, request.key, request.shares)
}

/** The memory behind the large arrays of a result, each whole and ours alone, so that it can move. */
function transferable(result: unknown): ArrayBuffer[] {
  const { shares, plaintext } = result as { shares?: Uint8Array[]; plaintext?: Uint8Array }
  const arrays = shares ?? (plaintext ? [plaintext] : [])
  return arrays
    .filter((array) => array.byteLength === array.buffer.byteLength)
    .map((array) => array.buffer as ArrayBuffer)
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
