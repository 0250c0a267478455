/** What a run is told, and what it shows. */
import type { Omission } from "./roles.ts"
import type { Failure } from "./world.ts"

/** What to run. */
export interface RunOptions {
  readonly seed: string
  readonly steps: number
  /** Kinds of faults, and roles, left out. */
  readonly without?: readonly Omission[]
  /** Steps that are left out. */
  readonly skip?: readonly number[]
  /** The last server keeps registers alone. */
  readonly witness?: boolean
  /** Somebody looks after the trees of all accounts. */
  readonly caretaker?: boolean
  /** Prints all that happens. */
  readonly verbose?: boolean
}

/** What a run showed. */
export interface RunResult {
  readonly options: RunOptions
  readonly failure: Failure | undefined
  /** Kinds of faults that the seed mixes, and its roles. */
  readonly faults: readonly Omission[]
  /** Equal for equal runs. */
  readonly traceHash: string
  /** The end of the trace: each message. */
  readonly recent: readonly string[]
  /** What clients and faults did. */
  readonly history: readonly string[]
  readonly simulatedMs: number
  /** Operations that ended well, by kind. */
  readonly done: Readonly<Record<string, number>>
  readonly crashes: number
  /** Most calls over the network that one operation made. */
  readonly mostCalls: number
  /** Most bytes that one client's requests took at once with an answer. */
  readonly mostBytes: number
  /** The longest that an operation took when nothing failed. */
  readonly longestCalmMs: number
}
