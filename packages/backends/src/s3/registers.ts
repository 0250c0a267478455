/**
 * Registers as objects of a bucket: one for each (register, sequence), created only where there is none, so that of two
 * writers with one number exactly one succeeds. Specification: docs/formats/bucket.md.
 */
import { equal, HoldfastError, isHoldfastError, limits, mapPool } from "@holdfast/core"
import {
  type CallOptions,
  decodeRegisterValue,
  isNewerValue,
  type KeptOptions,
  type KeptValue,
  keptPerAnswer,
  type RegisterId,
  rankOf,
  registerIdOf,
} from "@holdfast/protocol"
import { type HeldValue, type Judgement, judgeProposal } from "../rules.ts"
import { parseRegisterKey, registerKey, registerPrefix } from "./keys.ts"
import type { Place } from "./place.ts"

/** A value that was checked. */
export interface Proposed extends HeldValue {
  readonly id: RegisterId
}

interface Newest extends HeldValue {
  readonly key: string
  readonly modifiedMs: number
}

type Signal = AbortSignal | undefined

const parallel = 16
/** The newest objects of a register that a read looks at until one is a value. */
const mostTried = 8
const pageLength = 1000
const mostSeen = 10_000

/** Reads and writes the registers of a bucket. */
export class Registers {
  readonly #place: Place
  readonly #proposing = new Map<string, Promise<unknown>>()
  /** Where lists lag: the highest rank seen of each register. */
  readonly #seen = new Map<string, number>()

  constructor(place: Place) {
    this.#place = place
  }

  /** The newest value of each register. */
  read(ids: readonly RegisterId[], { signal }: CallOptions = {}): Promise<(Uint8Array | undefined)[]> {
    return mapPool(ids, parallel, async (id) => (await this.newest(id, signal))?.bytes)
  }

  /** Values held, newest first; as many as fit into one answer. */
  async kept(id: RegisterId, { below, signal }: KeptOptions = {}): Promise<KeptValue[]> {
    let after = below === undefined ? undefined : registerKey(id, below)
    for (;;) {
      const { infos } = await this.#place.bucket.list(registerPrefix(id), { after, limit: keptPerAnswer, signal })
      const values = await mapPool(infos, parallel, async ({ key, modifiedMs: receivedMs }) => {
        const value = await this.#valid(id, key, signal)
        return value && { sequence: value.sequence, bytes: value.bytes, receivedMs }
      })
      const kept = values.filter((value) => value !== undefined)
      if (kept.length > 0 || infos.length < keptPerAnswer) return kept
      after = infos.at(-1)!.key // none of these was a value
    }
  }

  /** A value with its register, or why it is none. */
  async check(bytes: Uint8Array): Promise<Proposed | { readonly accepted: false; readonly message: string }> {
    try {
      const value = await decodeRegisterValue(this.#place.crypto, bytes)
      return { id: registerIdOf(value.publicKey), sequence: rankOf(value), bytes }
    } catch (error) {
      if (isHoldfastError(error) && formCodes.has(error.code)) return { accepted: false, message: error.message }
      throw error
    }
  }

  /**
   * Creates the value's object, then looks whether it is the newest: a slow writer whose number others have passed must
   * not take its value for accepted. `alongside` runs beside that look.
   */
  async propose(proposed: Proposed, signal: Signal, alongside: () => Promise<unknown>): Promise<Judgement> {
    return this.#inTurn(registerPrefix(proposed.id), async () => {
      const { bucket, conditional } = this.#place
      const key = registerKey(proposed.id, proposed.sequence)
      if (!conditional) {
        const newest = await this.newest(proposed.id, signal)
        const judgement = judgeProposal(newest, proposed)
        if (!judgement.accepted) return judgement
        if (newest?.sequence === proposed.sequence) {
          await alongside()
          return judgement
        }
      }
      const stored = await this.#create(proposed, key, signal)
      // Without conditional writes another writer may have replaced it meanwhile.
      const known = conditional && stored ? { ...proposed, key, modifiedMs: 0 } : undefined
      // What was created atomically goes again; elsewhere another writer's value may lie there by now. Tidying fails nothing: keys that
      // cannot delete leave a value behind that was never the newest.
      const tidy = async () => {
        if (conditional && stored) await bucket.remove(key, { signal }).catch(() => undefined)
      }
      const looked = this.newest(proposed.id, signal, known).catch(async (error: unknown) => {
        if (isHoldfastError(error, "ERR_UNSUPPORTED_VERSION")) await tidy()
        throw error
      })
      const [newest] = await Promise.all([looked, alongside()])
      const judgement = judgeProposal(newest, proposed)
      if (!judgement.accepted) await tidy()
      return judgement
    })
  }

  /** Puts the value's object there; true when there was none. What is no value of the register, rot or somebody else's, is replaced. */
  async #create({ id, bytes }: Proposed, key: string, signal: Signal): Promise<boolean> {
    const { bucket, conditional } = this.#place
    for (let attempt = 1; ; attempt++) {
      const { stored } = await bucket.put(key, bytes, { ifAbsent: conditional, signal })
      if (stored) return true
      const found = await this.#found(id, key, signal)
      // What was found and is gone by now may come again, from another writer, and must not be written over.
      if (found === undefined && attempt < creations) continue
      if (found === undefined || found === "rot") await bucket.put(key, bytes, { signal })
      return false
    }
  }

  /** Removes the values below a sequence, but never the newest; how many. */
  async trim(id: RegisterId, below: number, signal: Signal): Promise<number> {
    const newest = await this.newest(id, signal)
    if (!newest) return 0
    const after = registerKey(id, Math.min(below, newest.sequence))
    let count = 0
    for (;;) {
      const { infos } = await this.#place.bucket.list(registerPrefix(id), { after, limit: pageLength, signal })
      await mapPool(infos, parallel, ({ key }) => this.#place.bucket.remove(key, { signal }))
      count += infos.length
      if (infos.length < pageLength) return count
    }
  }

  /** Proposals of this process to one register take turns: without conditional writes this is all that keeps order. */
  async #inTurn<T>(register: string, work: () => Promise<T>): Promise<T> {
    const before = this.#proposing.get(register)
    const mine = (async () => {
      await before?.catch(() => undefined)
      return work()
    })()
    this.#proposing.set(register, mine)
    try {
      return await mine
    } finally {
      if (this.#proposing.get(register) === mine) this.#proposing.delete(register)
    }
  }

  /**
   * The newest value that is truly one of the register, and its object; others are passed over. `known` is not read. Throws
   * ERR_UNSUPPORTED_VERSION where a later version wrote the newest: an older one passes for it with nobody.
   */
  async newest(id: RegisterId, signal: Signal, known?: Newest): Promise<Newest | undefined> {
    for (let attempt = 0; attempt < 2; attempt++) {
      const { infos } = await this.#place.bucket.list(registerPrefix(id), { limit: mostTried, signal })
      const unlisted = await this.#unlisted(id, infos[0]?.key, { known, signal })
      if (unlisted) return unlisted
      for (const { key, modifiedMs } of infos) {
        const value = key === known?.key ? known : await this.#valid(id, key, signal)
        if (value) return { ...value, key, modifiedMs }
      }
      // All may have been removed since they were listed.
      if (infos.length === 0) return undefined
    }
    return undefined
  }

  /**
   * Where lists lag, the newest value may not be listed yet: what follows the newest one that a list or this process has seen is
   * asked for by its key, one after another. So one that follows a number which was never written here is found when it is listed.
   */
  async #unlisted(
    id: RegisterId,
    listed: string | undefined,
    { known, signal }: { readonly known: Newest | undefined; readonly signal: Signal },
  ): Promise<Newest | undefined> {
    if (this.#place.listDelayMs === 0) return undefined
    const register = registerPrefix(id)
    const listedRank = (listed !== undefined && parseRegisterKey(listed)?.sequence) || 0
    const seen = Math.max(this.#seen.get(register) ?? 0, known?.sequence ?? 0)
    let newest: Newest | undefined
    for (let rank = Math.max(seen, listedRank + 1); ; rank++) {
      const key = registerKey(id, rank)
      const value = known?.key === key ? known : await this.#valid(id, key, signal)
      if (value) newest = { ...value, key, modifiedMs: 0 }
      else if (rank > seen) break
    }
    if (this.#seen.size >= mostSeen) this.#seen.clear()
    this.#seen.set(register, Math.max(listedRank, newest?.sequence ?? 0))
    return newest
  }

  async #valid(id: RegisterId, key: string, signal: Signal): Promise<HeldValue | undefined> {
    const found = await this.#found(id, key, signal)
    return found === "rot" ? undefined : found
  }

  /** What lies at a key; undefined when nothing does. Throws ERR_UNSUPPORTED_VERSION for what a later version wrote. */
  async #found(id: RegisterId, key: string, signal: Signal): Promise<HeldValue | "rot" | undefined> {
    const { bucket, crypto, id: place } = this.#place
    const got = await bucket.get(key, limits.registerValueBytes, { signal }).catch(asUnreadable)
    if (got === undefined || got === "rot") return got
    const value = await this.check(got.bytes)
    if ("accepted" in value && (await isNewerValue(crypto, got.bytes)))
      throw new HoldfastError(
        "ERR_UNSUPPORTED_VERSION",
        `A value of a register in bucket ${place} was made by a newer Holdfast. Update this one.`,
        { server: place, key },
      )
    if ("accepted" in value) return "rot"
    return equal(value.id, id) && registerKey(id, value.sequence) === key ? value : "rot"
  }
}

/** A service that says each time that there is something, and shows nothing, is written to without asking. */
const creations = 3
const formCodes = new Set(["ERR_BAD_FORMAT", "ERR_UNSUPPORTED_VERSION", "ERR_LIMIT", "ERR_CORRUPT"])

function asUnreadable(error: unknown): "rot" {
  if (error instanceof HoldfastError && formCodes.has(error.code)) return "rot"
  throw error
}
