/**
 * A commit: marks, at every place before the value is at any, then the value, then a look whether both stay (rules O13 and O14).
 * One request more than the value and its list took before, and two lists beside that one.
 */
import { toHex } from "@holdfast/core"
import type { BatchState, MarkOptions, ProposeOutcome, RegisterId } from "@holdfast/protocol"
import { accountsToMark, checkBatch, type Judgement } from "../rules.ts"
import { Batch, type Batches } from "./batches.ts"
import type { Place } from "./place.ts"
import type { Proposed, Registers } from "./registers.ts"
import type { Verdict, Voucher } from "./vouch.ts"

/** What a commit is made with. */
export interface Proposing {
  readonly batches: Batches
  readonly registers: Registers
  readonly voucher: Voucher
}

/** The register call of a backend that writes. */
export function proposeCalls(place: Place, { batches, registers, voucher }: Proposing) {
  /** When this process marked each register, with the accounts, by the bucket's clock: a collection may have taken that away since. */
  const marked = new Map<string, number>()
  const isMarked = (name: string) => place.newestMs - (marked.get(name) ?? Number.NEGATIVE_INFINITY) < place.trustMs

  const commit = async (values: readonly Proposed[], options: Partial<MarkOptions>): Promise<ProposeOutcome[]> => {
    const { signal } = options
    const accounts = accountsToMark(place.access, options)
    const known = options.batch && batches.find(options.batch)
    const batch = known ?? new Batch()
    const nameOf = ({ id }: Proposed) => [id, ...accounts].map(toHex).join()
    const sinceMs = place.newestMs
    const fresh = values.filter((value) => batch.hasShares || !isMarked(nameOf(value)))
    for (const { id } of fresh) batch.addRegister(accounts, id)
    const begun = await begin(batch, options)
    if (begun.kind !== "stays") return values.map(() => refusal(begun, batch))
    for (const value of fresh) marked.set(nameOf(value), sinceMs)
    let looking: Promise<Verdict> | undefined
    const look = () => {
      looking ??= batch.segments.length > 0 ? voucher.after(batch, signal) : Promise.resolve(begun)
      return looking
    }
    const judgements: Judgement[] = []
    for (const [i, value] of values.entries())
      judgements.push(await registers.propose(value, signal, i === values.length - 1 ? look : async () => undefined))
    const verdict = await look()
    return judgements.map((judgement): ProposeOutcome => {
      if (!judgement.accepted) return judgement
      return verdict.kind === "stays" ? { accepted: true, vouches: batch.hasShares } : refusal(verdict, batch)
    })
  }

  /** All that comes before the value. */
  const begin = async (batch: Batch, { signal }: Partial<MarkOptions>): Promise<Verdict> => {
    if (batch.broken !== undefined) return { kind: "gone", why: batch.broken }
    await Promise.all([voucher.write(batch, signal), place.requireMarks({ signal })])
    return voucher.before(batch, signal)
  }

  return {
    /** Of batches that marked no share here nothing is written before their value. */
    async confirmMarks(ids: readonly RegisterId[], options: MarkOptions): Promise<BatchState> {
      const accounts = accountsToMark(place.access, options)
      checkBatch(options.batch)
      const batch = batches.find(options.batch)
      if (!batch?.hasShares) return "unknown"
      for (const id of ids) batch.addRegister(accounts, id)
      const verdict = await begin(batch, options)
      if (verdict.kind === "gone") batch.broken = verdict.why
      return verdict.kind === "gone" ? "gone" : "held" // where the volume moved to is said with the value
    },
    async proposeRegisters(
      values: readonly Uint8Array[],
      options: Partial<MarkOptions> = {},
    ): Promise<ProposeOutcome[]> {
      accountsToMark(place.access, options)
      if (options.batch) checkBatch(options.batch)
      const checked = await Promise.all(values.map((bytes) => registers.check(bytes)))
      const good = checked.filter((value): value is Proposed => !("accepted" in value))
      const outcomes = good.length > 0 ? await commit(good, options) : []
      return checked.map((value) => ("accepted" in value ? value : outcomes.shift()!))
    },
  }
}

function refusal({ kind, why }: Exclude<Verdict, { kind: "stays" }>, batch: Batch): ProposeOutcome {
  if (kind !== "gone") return { accepted: false, code: kind, message: `This value is not taken: ${why}.` }
  batch.broken = why
  const message = `Something that this command stored in the bucket does not stay: ${why}. It must be stored again.`
  return { accepted: false, marksGone: true, message }
}
