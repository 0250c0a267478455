/** How often a change is tried again that loses races, and with what pauses. */
import { type Env, HoldfastError } from "@holdfast/core"

/** Most tries of one change. */
export const maxAttempts = 20

/** Waits before another try: twice as long each time up to about a second, with chance in it so that racers part. */
export function backOff({ clock, crypto }: Env, attempt: number): Promise<void> {
  const chance = crypto.random(1)[0]! / 256
  return clock.sleep(Math.min(1000, 5 * 2 ** attempt) * (0.5 + chance))
}

/** The error after the last one. */
export function busy(): HoldfastError {
  return new HoldfastError(
    "ERR_CONFLICT",
    `Other writers were faster ${maxAttempts} times in a row. Nothing was changed; try again when they are done.`,
    { attempts: maxAttempts },
  )
}
