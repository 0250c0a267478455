/**
 * What places did not take of what was written, although enough others did. Nothing of that is an error, and all of it is a risk: the
 * next place that is lost may be one too many. So it is counted, for whoever wrote to be told once.
 */
import { type Clock, isAbort } from "@holdfast/core"
import type { Backend, MarkOptions, ProposeOutcome } from "@holdfast/protocol"
import { answerOf, codeOfRefusal } from "./answers.ts"

/** What one place did not take. */
export interface PlaceShortfall {
  /** `Backend.id` of the place. */
  readonly server: string
  /** What it said last. */
  readonly why: string
  /** Of the error, where the whole request failed; `full`, `quota` or `io` where it did not. */
  readonly code: string
  /** Shares that it did not take, or had not by the end. */
  readonly shares: number
  /** Shares that are there, perhaps, and it did not mark. */
  readonly marks: number
  /** Values of registers. */
  readonly registers: number
  /** It took some all the same. */
  readonly tookSome: boolean
}

/** What was written and lies on fewer places than it should. */
export interface Shortfall {
  readonly places: readonly PlaceShortfall[]
  /** Chunks that lack one of their places at least. */
  readonly chunks: number
}

type Kind = "shares" | "marks" | "registers"

interface Tally {
  /** What it said last of each. */
  readonly said: Partial<Record<Kind, Refused>>
  readonly missed: Record<Kind, number>
  /** Sent, and not answered yet. */
  readonly open: Record<Kind, number>
  took: number
}

/** Who is slow, and not away, has answered after so long most of the time: what was sent last, above all. */
const settleMs = 2000
const settleStepMs = 20

/** Counts for one store. */
export class Shortfalls {
  readonly #tallies = new Map<string, Tally>()
  #lacking = 0
  #open = 0

  /** The same backend; what it does not take of what is written is counted. */
  watched(backend: Backend): Backend {
    return {
      ...backend,
      putShares: (shares, options) =>
        this.#count(backend.id, "shares", shares.length, {
          work: () => backend.putShares(shares, options),
          refusalOf: (outcome) => (outcome.ok ? undefined : outcome),
        }),
      markShares: (ids, options) =>
        this.#count(backend.id, "marks", ids.length, {
          work: () => backend.markShares(ids, options),
          refusalOf: (outcome) => (outcome.ok ? undefined : outcome),
        }),
      proposeRegisters: (values, options) =>
        // Without a batch it is no commit: a reader brings a place up to date, and need not.
        isCommit(options)
          ? this.#count(backend.id, "registers", values.length, {
              work: () => backend.proposeRegisters(values, options),
              refusalOf: valueRefused,
            })
          : backend.proposeRegisters(values, options),
    }
  }

  /** A chunk is being sent; what is returned is called when nothing of it is any more, and says whether it has all of its places. */
  begin(): (isWhole: boolean) => void {
    this.#open++
    return (isWhole) => {
      this.#open--
      if (!isWhole) this.#lacking++
    }
  }

  /** Waits until all that was sent is answered, but not long. */
  async settle(clock: Clock): Promise<void> {
    const isOpen = () => [...this.#tallies.values()].some(({ open }) => open.shares + open.marks + open.registers > 0)
    for (let waitedMs = 0; waitedMs < settleMs && isOpen(); waitedMs += settleStepMs) await clock.sleep(settleStepMs)
  }

  /** What is missing by now; undefined when nothing is. What is still being sent counts as missing. */
  now(): Shortfall | undefined {
    const places = [...this.#tallies].flatMap(([server, tally]) => placeOf(server, tally) ?? [])
    const chunks = this.#lacking + this.#open
    return places.length > 0 || chunks > 0 ? { places, chunks } : undefined
  }

  async #count<T>(
    server: string,
    kind: Kind,
    count: number,
    { work, refusalOf }: { work: () => Promise<T[]>; refusalOf: (outcome: T) => Refused | undefined },
  ): Promise<T[]> {
    const tally = this.#tallyOf(server)
    tally.open[kind] += count
    try {
      const outcomes = await work()
      const refused = outcomes.flatMap((outcome) => refusalOf(outcome) ?? [])
      note(tally, kind, refused.length, refused.at(-1))
      tally.took += outcomes.length - refused.length
      return outcomes
    } catch (error) {
      const { why, code = "ERR_INTERNAL" } = answerOf(server, error)
      if (!isAbort(error)) note(tally, kind, count, { code, message: why })
      throw error
    } finally {
      tally.open[kind] -= count
    }
  }

  #tallyOf(server: string): Tally {
    const none = () => ({ shares: 0, marks: 0, registers: 0 })
    const tally = this.#tallies.get(server) ?? { said: {}, missed: none(), open: none(), took: 0 }
    this.#tallies.set(server, tally)
    return tally
  }
}

interface Refused {
  readonly code: string
  readonly message: string
}

function note(tally: Tally, kind: Kind, count: number, refused: Refused | undefined): void {
  if (!refused) return
  tally.missed[kind] += count
  tally.said[kind] = refused
}

/** Why a place did not take a value; undefined when another was first, or something else is to be done before. */
function valueRefused(outcome: ProposeOutcome): Refused | undefined {
  if (outcome.accepted || outcome.marksGone || outcome.current) return undefined
  const { code = "io", message } = outcome
  return { code: code === "refused" || code === "moved" ? codeOfRefusal(code) : code, message }
}

function isCommit(options: Partial<MarkOptions> | undefined): boolean {
  return options?.batch !== undefined
}

const silent: Refused = { code: "ERR_SERVER_UNREACHABLE", message: "it did not answer in time" }

function placeOf(server: string, { said, missed, open, took }: Tally): PlaceShortfall | undefined {
  const count = (kind: Kind) => missed[kind] + open[kind]
  const [shares, marks, registers] = [count("shares"), count("marks"), count("registers")]
  if (shares + marks + registers === 0) return undefined
  const { code, message: why } = said.shares ?? said.marks ?? said.registers ?? silent
  return { server, why, code, shares, marks, registers, tookSome: took > 0 }
}
