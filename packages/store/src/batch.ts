/**
 * What a commit marks: a batch names the marks of one commit at every place, so that a place can say, when it takes the new
 * root, whether what the commit stored there is still there. Specification: docs/protocols/marks.md.
 */
import { type CryptoProvider, limits, toHex } from "@holdfast/core"
import type { AccountId, Backend, BatchToken, ChunkId, MarkOptions } from "@holdfast/protocol"
import { spreadOf } from "./spread.ts"

/** A place and the shares of a chunk that it marked. */
interface Marked {
  readonly backend: Backend
  indices: readonly number[]
}

/** Chunks that lie alike: the places and shares of some of those that a commit refers to. */
export type Pattern = readonly Marked[]

/** Beyond so many chunks the oldest are forgotten; a commit that needs them marks them again. */
const maxRemembered = 1_000_000

/** The marks of one batch, as far as places have told. */
export class Batch {
  /** What places are told of it. */
  readonly options: MarkOptions
  /** When it was begun, by this client's clock: it only decides when marks are renewed. */
  readonly sinceMs: number
  #marked = new Map<string, Marked[]>()

  constructor(options: MarkOptions, sinceMs: number) {
    this.options = options
    this.sinceMs = sinceMs
  }

  get token(): BatchToken {
    return this.options.batch
  }

  /** `backend` has marked these shares of a chunk under this batch. */
  note(id: ChunkId, backend: Backend, told: readonly number[]): void {
    const indices = told.filter((index) => index >= 0 && index < limits.maxShares)
    if (indices.length === 0) return
    const key = toHex(id)
    const places = this.#marked.get(key)
    const known = places?.find((place) => place.backend === backend)
    if (known) known.indices = [...new Set([...known.indices, ...indices])]
    else if (places) places.push({ backend, indices })
    else {
      if (this.#marked.size >= maxRemembered) this.#marked.delete(this.#marked.keys().next().value!)
      this.#marked.set(key, [{ backend, indices }])
    }
  }

  /** How many distinct places of those that count hold a share of their own of a chunk, marked under this batch. */
  spread(id: ChunkId, counts?: (backend: Backend) => boolean): number {
    return distinct(this.#marked.get(toHex(id)) ?? [], counts)
  }

  /** True when `backend` has marked this share under this batch. */
  has(id: ChunkId, backend: Backend, index: number): boolean {
    const places = this.#marked.get(toHex(id)) ?? []
    return places.some((place) => place.backend === backend && place.indices.includes(index))
  }

  /** How the chunks `ids` lie now; what is marked later is not in it. */
  patterns(ids: readonly ChunkId[]): readonly Pattern[] {
    const patterns = new Map<string, Pattern>()
    const numbers = new Map<Backend, number>()
    for (const id of ids) {
      const places = this.#marked.get(toHex(id)) ?? []
      const name = places.map(({ backend, indices }) => {
        const number = numbers.get(backend) ?? numbers.size
        numbers.set(backend, number)
        return `${number}:${indices}`
      })
      const key = name.sort().join(" ")
      if (!patterns.has(key)) patterns.set(key, [...places.map((place) => ({ ...place }))])
    }
    return [...patterns.values()]
  }
}

/** Distinct places with a share of their own among those of `pattern` that count. */
export function distinct(pattern: Pattern, counts: (backend: Backend) => boolean = () => true): number {
  const held = pattern.filter(({ backend }) => counts(backend)).map(({ indices }) => indices)
  return spreadOf(held).filter((index) => index !== undefined).length
}

/** The batches of one store: what is put goes into the present one, and a commit uses one of its own accounts. */
export class Batches {
  readonly #crypto: CryptoProvider
  readonly #nowMs: () => number
  readonly #how: Pick<MarkOptions, "forRemoval">
  readonly #present = new Map<string, Batch>()

  constructor(crypto: CryptoProvider, nowMs: () => number, how: Pick<MarkOptions, "forRemoval"> = {}) {
    this.#crypto = crypto
    this.#nowMs = nowMs
    this.#how = how
  }

  /**
   * The present batch for `accounts` besides the caller's own. One that is older than `maxAgeMs` is left: its marks may be
   * taken away by a collection soon, and what still needs them marks again.
   */
  present(accounts: readonly AccountId[] = [], maxAgeMs = Number.POSITIVE_INFINITY): Batch {
    const sorted = accounts.map((id) => [toHex(id), id] as const).sort(([a], [b]) => (a < b ? -1 : 1))
    const key = sorted.map(([name]) => name).join()
    const present = this.#present.get(key)
    // A clock that was set back must not keep a batch for ever.
    if (present && Math.abs(this.#nowMs() - present.sinceMs) <= maxAgeMs) return present
    const options = { batch: this.#crypto.random(16), accounts: sorted.map(([, id]) => id), ...this.#how }
    const batch = new Batch(options, this.#nowMs())
    this.#present.set(key, batch)
    return batch
  }

  /** A batch is done, or broken: what comes next goes into a new one. */
  leave(batch: Batch): void {
    for (const [key, present] of this.#present) if (present === batch) this.#present.delete(key)
  }
}
