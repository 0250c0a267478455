/** How far long work is: a bar with rate and time left on a terminal, or a JSON value a line for programs. */
import { shownJson, shownLine } from "@holdfast/core"

/** Counts work done. */
export interface Progress {
  /** `count` more bytes (or items) are done. */
  add(count: number): void
  /** Ends the bar and its line. */
  close(): void
}

interface ProgressOutput {
  write(text: string): unknown
  readonly columns?: number
}

const redrawMs = 100

/** What is counted. */
export type ProgressUnit = "bytes" | "chunks"

/** A bar for `total` units; without a total it shows amount and rate. `stream` undefined shows nothing. */
export function createProgress(
  stream: ProgressOutput | undefined,
  label: string,
  total: number | undefined,
  nowMs: () => number,
  unit: ProgressUnit = "bytes",
): Progress {
  if (!stream) return { add: () => undefined, close: () => undefined }
  const started = nowMs()
  let done = 0
  let drawn = 0
  const draw = () => {
    drawn = nowMs()
    const seconds = Math.max(0.001, (drawn - started) / 1000)
    const width = (stream.columns ?? 80) - 1
    stream.write(
      `\r${line(shownLine(label), done, total, done / seconds, unit)
        .slice(0, width)
        .padEnd(width)}`,
    )
  }
  return {
    add(count) {
      done += count
      if (nowMs() - drawn >= redrawMs) draw()
    },
    close() {
      draw()
      stream.write("\n")
    },
  }
}

const eventMs = 1000

/**
 * The same for programs: a line of JSON at most each second and one in the end, documented in docs/guides/command-line.md. `total` is null
 * where it is not known.
 */
export function createProgressEvents(
  stream: Pick<ProgressOutput, "write">,
  task: string,
  total: number | undefined,
  nowMs: () => number,
  unit: ProgressUnit = "bytes",
): Progress {
  const started = nowMs()
  let done = 0
  let told = started
  const tell = (isEnd: boolean) => {
    told = nowMs()
    const seconds = Math.max(0, told - started) / 1000
    stream.write(`${shownJson({ event: "progress", task, done, total: total ?? null, unit, seconds, isEnd })}\n`)
  }
  return {
    add(count) {
      done += count
      if (nowMs() - told >= eventMs) tell(false)
    },
    close: () => tell(true),
  }
}

function line(label: string, done: number, total: number | undefined, rate: number, unit: ProgressUnit): string {
  const amount = (count: number) => (unit === "bytes" ? sizeText(count) : `${Math.round(count)} ${unit}`)
  const speed = `${amount(rate)}/s`
  if (!total) return `${label} ${amount(done)} ${speed}`
  const part = Math.min(1, done / total)
  const bar = "#".repeat(Math.round(part * 24)).padEnd(24, "-")
  const left = rate > 0 ? ` ${durationText((total - done) / rate)} left` : ""
  return `${label} [${bar}] ${Math.floor(part * 100)}% ${amount(done)}/${amount(total)} ${speed}${left}`
}

/** Bytes for people: 1.5 MiB. */
export function sizeText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
  let unit = 0
  let value = bytes
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

function durationText(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}
