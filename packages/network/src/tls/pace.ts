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

/** Starts the clock: after `baseMs`, and a millisecond for each `bytesPerMs` bytes that moved, calls `onLate` once. */
export function startPace(
  { baseMs, bytesPerMs }: { readonly baseMs: number; readonly bytesPerMs: number },
  onLate: () => void,
): Pace {
  const startMs = performance.now()
  let moved = 0
  const leftMs = () => startMs + baseMs + moved / bytesPerMs - performance.now()
  let timer = setTimeout(check, leftMs())
  function check(): void {
    const ms = leftMs()
    if (ms > 0) timer = setTimeout(check, ms)
    else onLate()
  }
  return {
    add(bytes) {
      moved += bytes
    },
    stop: () => clearTimeout(timer),
  }
}
