/**
 * Ending in good order when the system or the user asks for it: what runs stops at its next step, removes what is half done, and keeps
 * what was sent for the next try. Whoever waits sees the status of a process that the signal ended (130, 143).
 */
import { HoldfastError } from "@holdfast/core"

const asked = ["SIGINT", "SIGTERM", "SIGHUP"] as const

/** One terminal, a launcher and npm may each hand on the same key press: a second signal counts after this time, and ends at once. */
const sameMs = 1000

/** What is still to be kept has so long. */
const lateMs = 3000
/** What does not heed the signal is ended after so long. */
const mostMs = 5000

/** What ends a command. */
export interface Interruption {
  /** Aborted with ERR_ABORTED once the process is asked to end; before this is read first, a signal ends the process at once. */
  readonly signal: AbortSignal
  /** Aborted a while after `signal`: for commands that keep what they have done by then. */
  readonly lateSignal: AbortSignal
  /** What is to be told instead of errors that followed; undefined when no signal came. */
  readonly reason: HoldfastError | undefined
  /** Ends the process by the signal that it was asked to end with; does nothing when none came. */
  finish(): void
}

/** Listens from the first use of `signal`. */
export function createInterruption(process: Pick<NodeJS.Process, "on" | "off" | "kill" | "pid">): Interruption {
  const [controller, late] = [new AbortController(), new AbortController()]
  let isListening = false
  const stopped = new HoldfastError("ERR_ABORTED", "Stopped. The same command goes on from here.")
  let by: NodeJS.Signals | undefined
  let atMs = 0
  const finish = () => {
    if (by === undefined) return
    for (const name of asked) process.off(name, hear)
    process.kill(process.pid, by)
  }
  const hear = (name: NodeJS.Signals) => {
    if (by !== undefined) {
      if (performance.now() - atMs >= sameMs) finish()
      return
    }
    by = name
    atMs = performance.now()
    controller.abort(stopped)
    setTimeout(() => late.abort(stopped), lateMs).unref()
    setTimeout(finish, mostMs).unref()
  }
  const listen = () => {
    if (!isListening) for (const name of asked) process.on(name, hear)
    isListening = true
  }
  return {
    get signal() {
      listen()
      return controller.signal
    },
    get lateSignal() {
      listen()
      return late.signal
    },
    get reason() {
      return by && stopped
    },
    finish,
  }
}
