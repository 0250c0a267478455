/** Whole commands as benchmarks run and print them, and the file of what was printed. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { gib } from "./data.ts"

/** What a command took. */
export interface Measured {
  readonly seconds: number
  /** Peak resident memory of the command, where /proc tells. */
  readonly peakMib: number | undefined
  /** Processor time of the command, of all that it started and waited for, and of its servers, where /proc tells. */
  readonly cpuSeconds: number | undefined
}

const ticksPerSecond = 100

/** Fields of /proc/…/stat after the name, of which the first is the state. Undefined where the process or /proc is not there. */
function statOf(pid: number | "self"): string[] | undefined {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ")
  } catch {
    return undefined
  }
}

/** Seconds of the processor that all children of this process took that have ended, and these servers until now; where /proc tells. */
export function cpuSecondsOf(servers: readonly number[]): number | undefined {
  const own = statOf("self")
  if (!own) return undefined
  let ticks = Number(own[13]) + Number(own[14])
  for (const pid of servers) {
    const stat = statOf(pid)
    if (stat) ticks += Number(stat[11]) + Number(stat[12])
  }
  return ticks / ticksPerSecond
}

/** The most memory that a process has had resident since it began, or since that was begun anew. Undefined where /proc does not tell. */
export function peakMibOf(pid: number | undefined): number | undefined {
  try {
    const status = fs.readFileSync(`/proc/${pid}/status`, "utf8")
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024 || undefined
  } catch {
    return undefined // it has ended, or there is no /proc
  }
}

/** Runs a process to its end. `servers`: processes that work for it. Throws unless it ends well. */
export async function measure(child: ChildProcess, servers: readonly number[] = []): Promise<Measured> {
  const started = performance.now()
  const before = cpuSecondsOf(servers)
  let peakMib: number | undefined
  child.stdout?.resume()
  let errors = ""
  child.stderr?.on("data", (piece: Buffer) => {
    errors += piece.toString("utf8")
  })
  const poll = setInterval(() => {
    peakMib = peakMibOf(child.pid) ?? peakMib
  }, 20)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", resolve)
  })
  clearInterval(poll)
  const seconds = (performance.now() - started) / 1000
  if (code !== 0) throw new Error(`a command ended with ${code}: ${errors}`)
  const after = cpuSecondsOf(servers)
  const cpuSeconds = before === undefined || after === undefined ? undefined : after - before
  return { seconds, peakMib, cpuSeconds }
}

/** How a program of somebody else's is run. */
export interface ProgramOptions {
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly cwd?: string | undefined
  /** Processes that work for it. */
  readonly servers?: readonly number[] | undefined
}

/** Runs a program to its end. */
export function measureProgram(program: string, args: readonly string[], options: ProgramOptions = {}) {
  const { env, cwd, servers } = options
  return measure(
    spawn(program, args, { env: { ...process.env, ...env }, cwd, stdio: ["ignore", "pipe", "pipe"] }),
    servers,
  )
}

const rows: object[] = []

/**
 * Keeps a row of what is measured in `bench-results/NAME.json`, with the machine it was measured on, where NAME is the benchmark's.
 * `values` are of any kind that JSON has; their names carry the units.
 */
export function record(name: string, values: Readonly<Record<string, unknown>>): void {
  if (rows.length === 0) process.once("exit", writeRows)
  rows.push({ name, ...values })
}

function writeRows(): void {
  const name = paths.basename(process.argv[1] ?? "bench", ".ts")
  const folder = paths.join(import.meta.dirname, "../bench-results")
  const machine = {
    processor: os.cpus()[0]?.model,
    cores: os.availableParallelism(),
    memoryMib: Math.round(os.totalmem() / 1024 ** 2),
    system: `${os.type()} ${os.release()}`,
    node: process.version,
  }
  fs.mkdirSync(folder, { recursive: true })
  const text = JSON.stringify({ benchmark: name, at: new Date().toISOString(), machine, rows }, null, 2)
  fs.writeFileSync(paths.join(folder, `${name}.json`), `${text}\n`)
}

/** Prints a line, and keeps it. `note` is what else there is to say: an aim, a ratio. */
export function report(name: string, { seconds, peakMib, cpuSeconds }: Measured, bytes: number, note = ""): void {
  record(name, { seconds, peakMib, cpuSeconds, bytes, note })
  const rate = bytes > 0 ? `${(bytes / 1e6 / seconds).toFixed(0)} MB/s` : ""
  const memory = peakMib === undefined ? "" : `${peakMib.toFixed(0)} MiB`
  const cpu =
    cpuSeconds === undefined
      ? ""
      : bytes < gib
        ? `${cpuSeconds.toFixed(2)} CPU s`
        : `${((cpuSeconds * gib) / bytes).toFixed(1)} CPU s/GiB`
  const columns = [
    name.padEnd(40),
    `${seconds.toFixed(2)} s`.padStart(9),
    rate.padStart(10),
    memory.padStart(9),
    cpu.padStart(14),
  ]
  process.stdout.write(`${columns.join("  ")}  ${note}\n`)
}

/** True when the program can be run. */
export function isInstalled(program: string): boolean {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined
}
