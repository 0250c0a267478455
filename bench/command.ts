/** Whole commands as benchmarks run and print them. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { readFileSync } from "node:fs"

/** What a command took. */
export interface Measured {
  readonly seconds: number
  /** Peak resident memory and processor time of the command, where /proc tells. */
  readonly peakMib: number | undefined
  readonly cpuSeconds: number | undefined
}

const gib = 1024 ** 3

/** Runs a process to its end. Throws unless it ends well. */
export async function measure(child: ChildProcess): Promise<Measured> {
  const started = performance.now()
  let [peakMib, cpuSeconds]: (number | undefined)[] = [undefined, undefined]
  child.stdout?.resume()
  let errors = ""
  child.stderr?.on("data", (piece: Buffer) => {
    errors += piece.toString("utf8")
  })
  const poll = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8")
      peakMib = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024 || peakMib
      const stat = readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]!.split(" ")
      cpuSeconds = (Number(stat[11]) + Number(stat[12])) / 100
    } catch {
      // it has ended, or there is no /proc
    }
  }, 20)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", resolve)
  })
  clearInterval(poll)
  if (code !== 0) throw new Error(`a command ended with ${code}: ${errors}`)
  return { seconds: (performance.now() - started) / 1000, peakMib, cpuSeconds }
}

/** Runs a program with more variables. */
export function measureProgram(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return measure(spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] }))
}

/** Prints a line. */
export function report(name: string, { seconds, peakMib, cpuSeconds }: Measured, bytes: number, aim = ""): void {
  const rate = bytes > 0 ? `${(bytes / 1e6 / seconds).toFixed(0)} MB/s` : ""
  const memory = peakMib === undefined ? "" : `${peakMib.toFixed(0)} MiB`
  const cpu = cpuSeconds === undefined || bytes < gib ? "" : `${((cpuSeconds * gib) / bytes).toFixed(1)} CPU s/GiB`
  const columns = [name.padEnd(40), `${seconds.toFixed(2)} s`.padStart(9), rate.padStart(10), memory.padStart(9), cpu]
  process.stdout.write(`${columns.join("  ")}  ${aim}\n`)
}

/** True when the program can be run. */
export function isInstalled(program: string): boolean {
  try {
    execFileSync(program, ["version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}
