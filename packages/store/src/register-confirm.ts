/** The word of places, before they are shown a value, that all is there which its commit marked: rule O6 of docs/protocols/marks.md. */
import { untilAborted } from "@holdfast/core"
import { type Backend, registerIdOf } from "@holdfast/protocol"
import { type Answer, answerOf } from "./answers.ts"
import { type Batch, distinct, type Pattern } from "./batch.ts"
import { Changes } from "./changes.ts"

/** What a value stands on: the marks of its commit. */
export interface Commitment {
  readonly batch: Batch
  /** How the chunks lie that the value refers to and did not before, by what the batch had marked before the proposal. */
  readonly patterns: readonly Pattern[]
  /** So many places with a share of their own must vouch for each chunk. */
  readonly happy: number
  /** Stops it: some places may have taken the value by then. */
  readonly signal?: AbortSignal | undefined
}

/** Places that did not vouch. */
export interface Unheld {
  /** Those that say that marks are gone. */
  readonly gone: readonly Backend[]
  /** Those that have marked something, and do not know of it now or give no good answer. */
  readonly silent: readonly Backend[]
  /** Why, as far as places said. */
  readonly answers: readonly Answer[]
}

/** Marks of this age need no second word: no place takes any away under an hour. */
const youngMs = 60_000

/**
 * Whether all marks of a commit were made a moment ago, by this client's clock, and every place that is to be shown the value has made
 * some of each chunk. If the clock is wrong, as after a machine was stopped, each of these places finds by its own that it has not heard
 * of the batch for too long, or that marks of it were taken, and takes nothing (rule O6). One that marked only what was stored after the
 * machine went on would find neither.
 */
export function areMarksYoung({ batch, patterns }: Commitment, shown: readonly Backend[], nowMs: number): boolean {
  if (Math.abs(nowMs - batch.sinceMs) > youngMs) return false
  const marked = patterns.map((pattern) => new Set(pattern.map(({ backend }) => backend)))
  return marked.length > 0 && shown.every((one) => one.marksWithAnswer && marked.every((places) => places.has(one)))
}

/**
 * Asks the places that marked something whether it is all there, and gives those that do not say so when too few do. A place
 * which marked nothing takes any value, so it is shown none before: who is shown the value is then shown one whose chunks are
 * held, even if its writer comes no further.
 */
export async function confirm(
  publicKey: Uint8Array,
  { batch, patterns, happy, signal }: Commitment,
): Promise<Unheld | undefined> {
  const open = new Set(patterns.flat().map(({ backend }) => backend))
  const gone = new Set<Backend>()
  const answers: Answer[] = []
  const isHeld = () =>
    patterns.every((pattern) => distinct(pattern, (backend) => !open.has(backend) && !gone.has(backend)) >= happy)
  const changes = new Changes()
  let pending = open.size
  for (const backend of [...open])
    void backend
      .confirmMarks([registerIdOf(publicKey)], { ...batch.options, ...(signal && { signal }) })
      .then(
        (state) => {
          if (state === "gone") gone.add(backend)
          if (state !== "unknown") open.delete(backend)
        },
        (error) => void answers.push(answerOf(backend.id, error)), // it would not vouch
      )
      .finally(() => {
        pending--
        changes.notify()
      })
  await untilAborted(
    changes.until(() => pending === 0 || isHeld()),
    signal,
  )
  return isHeld() ? undefined : { gone: [...gone], silent: [...open], answers } // who is slower is asked again with the value
}
