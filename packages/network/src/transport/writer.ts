/** Writing frames to a connection that many bodies share: step by step in turn, and no faster than the socket takes them. */
import type { Socket } from "node:net"
import { concat } from "@holdfast/core"
import { dataHead, mostDataBytes } from "@holdfast/protocol"

/** Copying so little is cheaper than a write of its own. */
const smallBytes = 32 * 1024

/** What is written for one request or answer. */
export interface Writing {
  readonly id: number
  /** The frame that begins it. */
  readonly head: Uint8Array
  readonly parts: readonly Uint8Array[]
  /** True when the rest is not wanted any more. */
  readonly isOver: () => boolean
  /** Hears of bytes that the socket has taken. */
  readonly onTaken?: ((bytes: number) => void) | undefined
}

/** What is written at once. */
interface Step {
  /** Ours alone. */
  readonly frames: Uint8Array
  /** Written behind them: a part of the caller's memory. */
  readonly view?: Uint8Array
}

/** Writes frames in turn: of several bodies each gets a step, of at most one data frame, after the others have theirs. */
export class FrameWriter {
  readonly #socket: Socket
  #last: Promise<unknown> = Promise.resolve()

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Writes one frame once it has its turn. */
  send(frame: Uint8Array): Promise<boolean> {
    return this.#step({ frames: frame }, () => false)
  }

  /** Writes head and body; resolves when the socket has taken them, with false when it is closed, or `isOver` says so, before. */
  async write({ id, head, parts, isOver, onTaken }: Writing): Promise<boolean> {
    for (const step of stepsOf(id, head, parts)) {
      if (!(await this.#step(step, isOver))) return false
      onTaken?.(step.frames.length + (step.view?.length ?? 0))
    }
    return true
  }

  /** True once it is written, and the socket takes more. Of what is not ours the socket has no view by then. */
  #step({ frames, view }: Step, isOver: () => boolean): Promise<boolean> {
    const step = this.#last.then(async () => {
      if (this.#socket.destroyed || isOver()) return false
      const isFull = !this.#socket.write(frames)
      if (view) await taken(this.#socket, view)
      else if (isFull) await drained(this.#socket)
      return true
    })
    this.#last = step
    return step
  }
}

/** The steps of a writing; pieces of large parts are views, since Node encrypts a lone one without a copy. */
function* stepsOf(id: number, head: Uint8Array, parts: readonly Uint8Array[]): Generator<Step> {
  let before = [head]
  let small: Uint8Array[] = []
  let length = 0
  const closeSmall = () => {
    if (length > 0) before.push(dataHead(id, length), ...small)
    small = []
    length = 0
  }
  for (const part of parts) {
    if (part.length > smallBytes) {
      closeSmall()
      for (let at = 0; at < part.length; at += mostDataBytes) {
        const view = part.subarray(at, at + mostDataBytes)
        yield { frames: concat(...before, dataHead(id, view.length)), view }
        before = []
      }
    } else {
      if (length + part.length > mostDataBytes) {
        closeSmall()
        yield { frames: concat(...before) }
        before = []
      }
      small.push(part)
      length += part.length
    }
  }
  closeSmall()
  if (before.length > 0) yield { frames: concat(...before) }
}

/** Resolves when nothing of `view` waits in the socket any more: it asks for no pause after little, which waits all the same. */
function taken(socket: Socket, view: Uint8Array): Promise<void> {
  return new Promise((resolve) => socket.write(view, () => resolve())) // called with an error when the socket is closed before
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done)
      socket.off("close", done)
      resolve()
    }
    socket.on("drain", done)
    socket.on("close", done)
    if (socket.destroyed) done()
  })
}
