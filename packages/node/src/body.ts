/**
 * Reads a request's body into memory that grows with what has come: an announced length costs nothing, and who waits for memory
 * is not read meanwhile.
 */
import { type BufferPool, HoldfastError } from "@holdfast/core"
import type { Exchange } from "@holdfast/network"
import type { Holding } from "./memory.ts"

/** Each size is copied once into the next: a large body costs a seventh more, a usual one nothing. */
const steps = [256 * 1024, 2 * 1024 * 1024]

/** How a body is read. */
export interface Reading {
  readonly bodies: BufferPool
  readonly holding: Holding
  /** Ends the reading with its reason. */
  readonly signal: AbortSignal
}

/** The whole body. Throws ERR_BAD_FORMAT when it is cut short, ERR_REMOTE when there is no memory for it. */
export async function readBody(exchange: Exchange, { bodies, holding, signal }: Reading): Promise<Uint8Array> {
  const length = exchange.bodyBytes
  const sizeFor = (bytes: number) => Math.min(length, steps.find((step) => bytes <= step) ?? length)
  let offset = 0
  let [isOver, isGrowing] = [false, false]
  await holding.grow(sizeFor(1))
  signal.throwIfAborted()
  if (exchange.over.aborted) throw cutShort()
  let body = bodies.take(sizeFor(1))
  const write = (piece: Uint8Array) => {
    body.set(piece, offset) // no more comes than was announced
    offset += piece.length
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
  const take = (piece: Uint8Array) => {
    holding.moved(piece.length)
    if (offset + piece.length <= body.length) return void write(piece)
    isGrowing = true
    return growTo(sizeFor(offset + piece.length))
      .then(() => isOver || write(piece))
      .finally(() => {
        isGrowing = false
        if (isOver) bodies.give(body)
      })
      .then(() => undefined)
  }
  holding.expect(length)
  try {
    await exchange.receive(take, signal)
  } catch (error) {
    isOver = true
    if (!isGrowing) bodies.give(body) // who is ended again and again must not cost new memory each time
    throw error
  }
  holding.expect(0)
  return body
}

function cutShort(): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", "The body is cut short.")
}
