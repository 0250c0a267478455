/**
 * The longest time for a whole request: a base, and more for each byte that moves. Slow lines are served; a server that
 * dribbles, one byte a second, so that no silence ever ends its answer, is not.
 */

/** A clock that runs out unless bytes move. */
export interface Pace {
  /** So many bytes moved. */
  add(bytes: number): void
  stop(): void
}

/** How long a request may take. */
export interface PaceOptions {
  readonly baseMs: number
  /** A millisecond more for each so many bytes that moved. */
  readonly bytesPerMs: number
  /** The longest time in which nothing moves. Default: none but the whole. */
  readonly silentMs?: number
}

/** Starts the clock: calls `onLate` once, with true when it was silent for too long, when the time is over. */
export function startPace(
  { baseMs, bytesPerMs, silentMs = Number.POSITIVE_INFINITY }: PaceOptions,
  onLate: (isSilent: boolean) => void,
): Pace {
  const startMs = performance.now()
  let movedMs = startMs
  let moved = 0
  const leftMs = () => startMs + baseMs + moved / bytesPerMs - performance.now()
  const quietMs = () => movedMs + silentMs - performance.now()
  let timer = setTimeout(check, Math.min(leftMs(), quietMs()))
  function check(): void {
    const ms = Math.min(leftMs(), quietMs())
    if (ms > 0) timer = setTimeout(check, ms)
    else onLate(quietMs() <= 0)
  }
  return {
    add(bytes) {
      moved += bytes
      movedMs = performance.now()
    },
    stop: () => clearTimeout(timer),
  }
}
