/**
 * Reads a request's body into memory that grows with what has come: an announced length costs nothing, and who waits for memory
 * is not read meanwhile.
 */
import type { IncomingMessage } from "node:http"
import { type BufferPool, discard, HoldfastError } from "@holdfast/core"
import type { Holding } from "./memory.ts"

/** Each size is copied once into the next: a large body costs a seventh more, a usual one nothing. */
const steps = [256 * 1024, 2 * 1024 * 1024]

/** How a body is read. */
export interface Reading {
  /** As announced. */
  readonly length: number
  readonly bodies: BufferPool
  readonly holding: Holding
  /** Ends the reading with its reason. */
  readonly signal: AbortSignal
}

/**
 * The whole body, of `length` bytes; events, since an async iterator costs more than the bytes of a small TLS record. Throws
 * ERR_BAD_FORMAT when it is cut short, ERR_REMOTE when there is no memory for it.
 */
export async function readBody(request: IncomingMessage, reading: Reading): Promise<Uint8Array> {
  const { length, bodies, holding, signal } = reading
  const sizeFor = (bytes: number) => Math.min(length, steps.find((step) => bytes <= step) ?? length)
  let body = bodies.take(0)
  let offset = 0
  await holding.grow(sizeFor(1))
  signal.throwIfAborted()
  if (request.destroyed && !request.complete) throw cutShort()
  body = bodies.take(sizeFor(1))
  holding.expect(length)
  return new Promise((resolve, reject) => {
    let [isOver, isGrowing] = [false, false]
    const fail = (error: unknown) => {
      if (isOver) return
      isOver = true
      request.off("data", take)
      if (!isGrowing) bodies.give(body) // who is ended again and again must not cost new memory each time
      reject(error)
    }
    const write = (chunk: Uint8Array) => {
      body.set(chunk, offset) // HTTP ends the body at its announced length
      offset += chunk.length
      discard(chunk)
    }
    const growTo = async (bytes: number) => {
      await holding.grow(bytes)
      signal.throwIfAborted()
      if (holding.isReleased) throw cutShort()
      if (isOver) return
      const larger = bodies.take(bytes)
      larger.set(body.subarray(0, offset))
      bodies.give(body)
      body = larger
    }
    const take = (chunk: Uint8Array) => {
      holding.moved(chunk.length)
      if (offset + chunk.length <= body.length) return write(chunk)
      request.pause()
      isGrowing = true
      growTo(sizeFor(offset + chunk.length))
        .then(() => {
          isGrowing = false
          if (isOver) return bodies.give(body)
          write(chunk)
          request.resume()
        })
        .catch((error: unknown) => {
          isGrowing = false
          if (isOver) bodies.give(body)
          else fail(error)
        })
    }
    request.on("data", take)
    request.once("end", () => {
      holding.expect(0)
      if (offset !== length) return fail(cutShort())
      if (isOver) return
      isOver = true
      resolve(body)
    })
    request.once("error", () => fail(cutShort()))
    request.once("close", () => fail(cutShort()))
    signal.addEventListener("abort", () => fail(signal.reason), { once: true })
  })
}

function cutShort(): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", "The body is cut short.")
}
