/** Processes that outlive a command: a pid with its start time, so that a reused pid is never taken for ours. */
import { readFile } from "node:fs/promises"
import { connect } from "node:net"

/** A process that can be found again. */
export interface ProcessMark {
  readonly pid: number
  /** The kernel's start tick of the process; empty where there is no /proc. */
  readonly started: string
}

/** The mark of a running process; undefined when there is none with this pid. */
export async function markOf(pid: number): Promise<ProcessMark | undefined> {
  try {
    process.kill(pid, 0)
  } catch {
    return undefined
  }
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return fields[0] === "Z" || fields[0] === "X" ? undefined : { pid, started: fields[19] ?? "" }
  } catch {
    return { pid, started: "" }
  }
}

/** True while exactly that process runs. */
export async function isRunning(mark: ProcessMark | undefined): Promise<boolean> {
  return mark !== undefined && (await markOf(mark.pid))?.started === mark.started
}

/** Asks a process to end and waits; ends it the hard way after `graceMs`. */
export async function stopProcess(mark: ProcessMark, graceMs: number): Promise<void> {
  if (!(await isRunning(mark))) return
  process.kill(mark.pid, "SIGTERM")
  const until = Date.now() + graceMs
  while (await isRunning(mark)) {
    if (Date.now() > until) process.kill(mark.pid, "SIGKILL")
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** True when something accepts connections there. */
export function isListening(port: number, host = "127.0.0.1", timeoutMs = 3_000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host, timeout: timeoutMs })
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.once("connect", () => end(true))
    socket.once("timeout", () => end(false))
    socket.once("error", () => end(false))
  })
}
