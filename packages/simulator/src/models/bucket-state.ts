/** The rules, the state and the steps that the parts of the model of a bucket share. */
import { clone, type Step } from "./explore.ts"

/** A writer. */
export interface BucketWriter {
  phase:
    | "put"
    | "mark"
    | "look"
    | "head"
    | "value"
    | "again"
    | "exists"
    | "mark again"
    | "look again"
    | "head again"
    | "done"
  /** Number of its own mark object. */
  mark: number
  /** The first generation of X that was not condemned when it looked. */
  generation: number
}

/** The rules that the cases weaken one by one. */
export interface BucketRules {
  /** The sweeper condemns, reads all marks again, then deletes; otherwise it reads the marks once and deletes. */
  readonly twoPhase: boolean
  /** The writer looks for what is condemned after its marks are there. */
  readonly looks: boolean
  /** What is condemned is stored again under another key. */
  readonly generations: boolean
  /** The compacting device announces which mark objects it will drop before it reads the roots. */
  readonly retires: boolean
  /** The writer looks at its marks again after the register's value is there. */
  readonly looksAgain: boolean
  /** New mark objects sort after those that were listed before. */
  readonly ascending: boolean
}

/** The rules as they are. */
export const bucketRules: BucketRules = {
  twoPhase: true,
  looks: true,
  generations: true,
  retires: true,
  looksAgain: true,
  ascending: true,
}

/** The key of a mark object: account, number of two digits, who wrote it. So lists give them. */
export type MarkKey = string

/** A state of the model. */
export interface BucketState {
  /** Which generations of X are there. */
  x: boolean[]
  /** The mark objects that are there, sorted; each names X. */
  marks: MarkKey[]
  retired: MarkKey[] | null
  condemned: number[] | null
  needs: { a: boolean; b: boolean }
  w: BucketWriter
  b: BucketWriter
  c: { phase: string; listed: MarkKey[]; live: boolean; runs: number }
  s: { phase: string; at: MarkKey; named: boolean; victims: number[]; runs: number }
}

/** Who takes part, and how often. */
export interface BucketScope {
  readonly clients: "WC" | "WBC"
  readonly compactions: number
  readonly sweeps: number
}

/** Key of a mark object. */
export function markKey(account: string, number: number, writer: string): MarkKey {
  return `${account}${String(number).padStart(2, "0")}${writer}`
}

/** Number of a mark object. */
export function numberOf(key: MarkKey): number {
  return Number(key.slice(1, 3))
}

/** A step that changes a copy of the state. */
export function bucketStep(s: BucketState, label: string, change: (t: BucketState) => void): Step<BucketState> {
  const t = clone(s)
  change(t)
  t.marks.sort()
  return [label, t]
}
