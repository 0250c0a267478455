/** Time and randomness as parameters, so that tests and the simulator can own them. */
import type { CryptoProvider } from "./crypto/provider.ts"

/** A source of time. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number
  /** Resolves after `ms`, or rejects with the signal's reason. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** What iso code needs of the platform. */
export interface Env {
  readonly crypto: CryptoProvider
  readonly clock: Clock
}
