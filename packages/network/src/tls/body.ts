/** Writing the body of a request or answer. */
import type { OutgoingMessage } from "node:http"

/** What is encrypted at once: more would only wait in memory, twice, for the socket to take it. */
const stepBytes = 256 * 1024
/** Copying so little is cheaper than a turn. */
const smallBytes = 32 * 1024

/**
 * Writes `parts` one after another and ends the message; waits while the socket is full. Each large step has a turn of
 * its own, since Node copies together what is written in one turn. Ends early, without an error, when the message closes.
 * `onTaken` hears of bytes that the socket has taken after it was full.
 */
export async function writeBody(
  message: OutgoingMessage,
  parts: readonly Uint8Array[],
  onTaken?: (bytes: number) => void,
): Promise<void> {
  let isFull = false
  let written = 0
  for (const part of parts)
    for (let at = 0; at < part.length; at += stepBytes) {
      if (isFull) {
        await drained(message)
        onTaken?.(written)
        written = 0
      } else if (part.length > smallBytes) await new Promise(setImmediate)
      if (message.destroyed) return
      const step = part.subarray(at, at + stepBytes)
      isFull = !message.write(step)
      written += step.length
    }
  message.end()
}

function drained(message: OutgoingMessage): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      message.off("drain", done)
      message.off("close", done)
      resolve()
    }
    message.on("drain", done)
    message.on("close", done)
    if (message.destroyed) done()
  })
}
