/**
 * Clocks of daemons that a test moves while they run, through libfaketime (Debian's package `faketime`): places spare what is
 * younger than a day by their own clocks, and a test has minutes. Timers are not moved, only the time of day.
 */
import { existsSync, globSync, renameSync, writeFileSync } from "node:fs"

const library = globSync("/usr/lib/*/faketime/libfaketimeMT.so.1").find((file) => existsSync(file))

/** What is missing here for clocks; undefined when nothing is. */
export const missingForClocks: string | undefined = library === undefined ? "libfaketime (faketime)" : undefined

/** A clock of one or more programs. */
export interface FakeClock {
  /** What a program's environment needs to go by it. */
  readonly env: Readonly<Record<string, string>>
  /** How far ahead it is. */
  readonly aheadSeconds: number
  /** Sets it forward; programs notice within a second. */
  advance(seconds: number): void
}

/** Makes a clock that `file` sets, at first `aheadSeconds` before (or behind) the host's. */
export function makeClock(file: string, aheadSeconds = 0): FakeClock {
  let ahead = aheadSeconds
  const write = () => {
    writeFileSync(`${file}.new`, `${ahead < 0 ? "" : "+"}${ahead}\n`)
    renameSync(`${file}.new`, file)
  }
  write()
  return {
    env: {
      LD_PRELOAD: library!,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_CACHE_DURATION: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    },
    get aheadSeconds() {
      return ahead
    },
    advance(seconds) {
      ahead += seconds
      write()
    },
  }
}
