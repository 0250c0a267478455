/**
 * A place in memory: for tests, the simulator and caches. Checks everything that a storage node checks, and keeps the same rules of
 * ownership. Specification: docs/protocols/marks.md.
 */
import { type CryptoProvider, compare, isHoldfastError, toHex } from "@holdfast/core"
import {
  type AccountAccess,
  accountRoles,
  type Backend,
  type ChunkId,
  checkUnmark,
  decodeRegisterValue,
  type MarkOptions,
  type MarkOutcome,
  type ProposeOutcome,
  type PutOutcome,
  rankOf,
  registerIdOf,
  type ShareQuery,
  type SignedUnmark,
  type UnmarkOutcome,
  verifyShare,
} from "@holdfast/protocol"
import { answerBlocks } from "./blocks.ts"
import { addMarks, type Batch, batchOf, type HeldShare, Ledger, pays } from "./memory-marks.ts"
import { costOfValue, dropMark, type HeldRegister, takeValue, trim, valuesOf } from "./memory-registers.ts"
import { RegisterWaits } from "./register-waits.ts"
import {
  accountsToMark,
  checkBatch,
  checkListLimit,
  checkRole,
  encodeCollectToken,
  isUnheard,
  judgeProposal,
  leastGraceMs,
  markBytes,
  mostUnder,
  type Purposes,
  quotaUsedUp,
  rowBytes,
  takeable,
  usualGraceMs,
  whyUnheld,
} from "./rules.ts"

/** Options of a place in memory. */
export interface MemoryOptions {
  /** Most bytes that an account is charged before it is answered "quota"; unlimited by default. */
  readonly quotaBytes?: number
  /** Most bytes it holds before it answers "full"; unlimited by default. */
  readonly capacityBytes?: number
  /** The place's clock; the machine's by default. */
  readonly nowMs?: () => number
  /** How old a mark must be to be taken away. Default 24 h, never under 1 h. */
  readonly graceMs?: number
}

/** A place that several accounts use. */
export interface MemoryPlace {
  readonly id: string
  /** The place as one caller sees it. */
  backendOf(access: AccountAccess): Backend
}

/** Who uses a backend that has one user only. */
const onlyAccount: AccountAccess = { account: new Uint8Array(32).fill(1), roles: accountRoles }

/** An empty place in memory that one account uses. */
export function createMemoryBackend(id: string, crypto: CryptoProvider, options: MemoryOptions = {}): Backend {
  return createMemoryPlace(id, crypto, options).backendOf(onlyAccount)
}

/** An empty place in memory. */
export function createMemoryPlace(id: string, crypto: CryptoProvider, options: MemoryOptions = {}): MemoryPlace {
  const place = new Place(id, crypto, options)
  return { id, backendOf: (access) => backendOf(place, access) }
}

/** All that a place holds. Changes are synchronous, so each is a transaction. */
class Place {
  readonly id: string
  readonly crypto: CryptoProvider
  readonly options: MemoryOptions
  readonly graceMs: number
  readonly chunks = new Map<string, Map<number, HeldShare>>()
  readonly registers = new Map<string, HeldRegister>()
  readonly batches = new Map<string, Batch>()
  readonly ledger = new Ledger()
  readonly instance: Uint8Array
  readonly waits: RegisterWaits
  storedBytes = 0
  #stamp = 0

  constructor(id: string, crypto: CryptoProvider, options: MemoryOptions) {
    this.id = id
    this.crypto = crypto
    this.options = options
    this.graceMs = Math.max(leastGraceMs, options.graceMs ?? usualGraceMs)
    this.instance = crypto.random(16)
    this.waits = new RegisterWaits({ crypto, read: (key) => this.registers.get(key)?.bytes })
  }

  nowMs(): number {
    return Math.floor((this.options.nowMs ?? Date.now)())
  }

  /** A stamp above all others; about the time. */
  nextStamp(): number {
    this.#stamp = Math.max(this.#stamp + 1, this.nowMs())
    return this.#stamp
  }

  isOver = (batch: Batch) => batch.used || this.#stamp - batch.stamp >= this.graceMs

  find({ id, index }: ShareQuery): HeldShare[] {
    const held = this.chunks.get(toHex(id))
    if (index === undefined) return [...(held?.values() ?? [])].sort((a, b) => a.index - b.index)
    const one = held?.get(index)
    return one ? [one] : []
  }

  add(share: HeldShare): void {
    const key = toHex(share.id)
    const held = this.chunks.get(key) ?? new Map<number, HeldShare>()
    this.chunks.set(key, held.set(share.index, share))
    this.storedBytes += share.bytes.length
  }

  remove(share: HeldShare): void {
    const key = toHex(share.id)
    const siblings = this.chunks.get(key)!
    siblings.delete(share.index)
    if (siblings.size === 0) this.chunks.delete(key)
    this.storedBytes -= share.bytes.length
  }

  overQuota(payer: string, moreBytes: number, purposes: Purposes): string | undefined {
    const { quotaBytes = Number.POSITIVE_INFINITY } = this.options
    const usedBytes = this.ledger.of(payer).bytes
    if (usedBytes + moreBytes <= mostUnder(quotaBytes, purposes)) return undefined
    return quotaUsedUp(quotaBytes, `${usedBytes} bytes are charged to this account`, purposes.forRemoval)
  }
}

function backendOf(place: Place, access: AccountAccess): Backend {
  const own = toHex(access.account)
  const { quotaBytes, capacityBytes } = place.options
  return {
    id: place.id,
    marksWithAnswer: true,
    async putShares(shares, options) {
      const accounts = accountsToMark(access, options)
      checkBatch(options.batch)
      return inOrder(shares, (bytes) => put(place, bytes, { access, accounts, options }))
    },
    async markShares(ids, options) {
      const accounts = accountsToMark(access, options)
      checkBatch(options.batch)
      return ids.map((id) => mark(place, place.find({ id }), { access, accounts, options }))
    },
    async getShares(queries) {
      checkRole(access, "read")
      return queries.map((query) => place.find(query)[0]?.bytes.slice())
    },
    async getBlocks(queries) {
      checkRole(access, "read")
      return inOrder(queries, (query) => {
        const [held] = place.find(query)
        return answerBlocks(query, async (offset, length) => held?.bytes.subarray(offset, offset + length))
      })
    },
    async hasShares(ids) {
      checkRole(access, "read")
      return ids.map((id) => place.find({ id }).map((share) => share.index))
    },
    async listMarks({ after, limit }) {
      checkRole(access, "collect")
      checkListLimit(limit)
      const from = after ? toHex(after.id) : ""
      const page: HeldShare[] = []
      for (const key of [...place.chunks.keys()].filter((key) => key >= from).sort()) {
        if (page.length >= limit) break
        const held = [...place.chunks.get(key)!.values()].sort((a, b) => a.index - b.index)
        page.push(...held.filter(({ index, marks }) => marks.has(own) && (key !== from || index > after!.index)))
      }
      return page.slice(0, limit).map(({ id, index, bytes }) => ({ id, index, sizeBytes: bytes.length }))
    },
    async listRegisters({ after, limit }) {
      checkRole(access, "collect")
      checkListLimit(limit)
      const held = [...place.registers.values()].filter(({ marks }) => marks.has(own)).map((register) => register.id)
      return held
        .filter((id) => !after || compare(id, after) > 0)
        .sort(compare)
        .slice(0, limit)
    },
    async collectToken() {
      checkRole(access, "collect")
      return encodeCollectToken(place.instance, place.nextStamp())
    },
    async unmark(order) {
      checkRole(access, "collect")
      await checkUnmark(place.crypto, order, { account: access.account, place: place.id })
      return unmark(place, order, own)
    },
    async readRegisters(ids) {
      checkRole(access, "read")
      return ids.map((id) => place.registers.get(toHex(id))?.bytes.slice())
    },
    async watchRegisters(watched, { signal } = {}) {
      checkRole(access, "read")
      return place.waits.wait(
        watched.map(({ id, hash }) => ({ key: toHex(id), ...(hash && { hash }) })),
        { signal },
      )
    },
    async keptValues(id, { below } = {}) {
      checkRole(access, "read")
      const register = place.registers.get(toHex(id))
      return register ? valuesOf(register, access.account, below) : []
    },
    async confirmMarks(_registers, options) {
      accountsToMark(access, options)
      checkBatch(options.batch)
      const batch = place.batches.get(`${own} ${toHex(options.batch)}`)
      if (!batch || batch.broken) return batch ? "gone" : "unknown"
      batch.stamp = place.nextStamp()
      return "held"
    },
    async proposeRegisters(values, options = {}) {
      accountsToMark(access, options)
      if (options.batch) checkBatch(options.batch)
      return inOrder(values, (bytes) => propose(place, bytes, { access, options }))
    },
    usage: async () => ({
      usedBytes: place.ledger.of(own).bytes,
      shareCount: place.ledger.of(own).shares,
      ...(quotaBytes !== undefined && { quotaBytes }),
      ...(capacityBytes !== undefined && { availableBytes: Math.max(0, capacityBytes - place.storedBytes) }),
    }),
    close: async () => undefined,
  }
}

interface Marking {
  readonly access: AccountAccess
  readonly accounts: readonly Uint8Array[]
  readonly options: MarkOptions
}

async function put(place: Place, bytes: Uint8Array, marking: Marking): Promise<PutOutcome> {
  const checked = await verifyShare(place.crypto, bytes).catch(refusal)
  if ("ok" in checked) return checked
  const [existing] = place.find(checked)
  const existed = existing?.marks.has(toHex(marking.access.account)) ?? false
  const { capacityBytes = Number.POSITIVE_INFINITY } = place.options
  if (!existing && place.storedBytes + bytes.length > mostUnder(capacityBytes, marking.options))
    return { ok: false, code: "full", message: `Server ${place.id} is full.` }
  const { id, index } = checked
  const share = existing ?? { id: id.slice(), index, bytes: bytes.slice(), marks: new Map() }
  const marked = mark(place, [share], marking)
  if (!marked.ok) return marked
  if (!existing) place.add(share)
  return { ok: true, existed }
}

function mark(place: Place, shares: readonly HeldShare[], { access, accounts, options }: Marking): MarkOutcome {
  if (shares.length === 0) return { ok: true, held: [] }
  const payer = toHex(access.account)
  const known = place.batches.get(`${payer} ${toHex(options.batch)}`)
  const isNew = (share: HeldShare) => (id: Uint8Array) => !known || !share.marks.get(toHex(id))?.has(known)
  const moreBytes = shares.reduce(
    (sum, share) =>
      sum + (pays(share, payer) ? 0 : share.bytes.length + rowBytes) + accounts.filter(isNew(share)).length * markBytes,
    0,
  )
  const message = moreBytes > 0 ? place.overQuota(payer, moreBytes, { forRemoval: options.forRemoval }) : undefined
  if (message !== undefined) return { ok: false, code: "quota", message }
  const batch = batchOf(place.batches, payer, options.batch)
  const stamp = place.nextStamp()
  if (known && isUnheard(known, stamp)) known.broken = true
  batch.stamp = stamp
  for (const share of shares) place.ledger.change(share, () => addMarks(share, accounts, batch, place.isOver))
  return { ok: true, held: shares.map(({ index }) => index) }
}

async function propose(
  place: Place,
  bytes: Uint8Array,
  { access, options }: { access: AccountAccess; options: Partial<MarkOptions> },
): Promise<ProposeOutcome> {
  const value = await decodeRegisterValue(place.crypto, bytes).catch(refusal)
  if ("ok" in value) return { accepted: false, message: value.message }
  const payer = toHex(access.account)
  const batch = options.batch && place.batches.get(`${payer} ${toHex(options.batch)}`)
  const stamp = place.nextStamp()
  const unheld = batch && whyUnheld({ isBroken: batch.broken, stamp: batch.stamp }, stamp)
  if (unheld !== undefined) return { accepted: false, marksGone: true, message: unheld }
  const id = registerIdOf(value.publicKey)
  const rank = rankOf(value)
  const held = place.registers.get(toHex(id))
  const outcome = judgeProposal(held, { sequence: rank, bytes })
  if (!outcome.accepted) return outcome
  const moreBytes = costOfValue(held, { sequence: rank, bytes }, { access, accounts: accountsToMark(access, options) })
  const purposes = { forRemoval: options.forRemoval, isReplacing: held !== undefined }
  const overQuota = place.overQuota(payer, moreBytes, purposes)
  if (overQuota !== undefined && moreBytes > 0) return { accepted: false, code: "quota", message: overQuota }
  if (batch) Object.assign(batch, { stamp, used: true })
  const taken = { id, sequence: rank, bytes, receivedMs: place.nowMs(), stamp }
  const accounts = accountsToMark(access, options)
  place.registers.set(toHex(id), takeValue(held, taken, { access, accounts, ledger: place.ledger }))
  place.waits.changed(toHex(id))
  return { accepted: true, vouches: batch !== undefined }
}

/** In one transaction: what is old and named loses the account's mark, and goes with its last. */
function unmark(place: Place, order: SignedUnmark, own: string): UnmarkOutcome {
  const isOld = takeable(order, { instance: place.instance, stamp: place.nextStamp(), graceMs: place.graceMs })
  const done = { marks: 0, shares: 0, bytes: 0, young: 0 }
  for (const share of order.chunks.flatMap((id: ChunkId) => place.find({ id }))) {
    const rows = share.marks.get(own)
    if (!rows) continue
    if (![...rows].every(({ stamp }) => isOld(stamp))) {
      done.young++
      continue
    }
    for (const batch of rows) batch.broken = true
    place.ledger.change(share, () => share.marks.delete(own))
    done.marks++
    if (share.marks.size > 0) continue
    place.remove(share)
    done.shares++
    done.bytes += share.bytes.length
  }
  unmarkRegisters(place, order, { own, isOld, done })
  return done
}

function unmarkRegisters(
  place: Place,
  order: SignedUnmark,
  {
    own,
    isOld,
    done,
  }: { own: string; isOld: (stamp: number) => boolean; done: { marks: number; bytes: number; young: number } },
): void {
  for (const { register: id, below } of order.trims) {
    const register = place.registers.get(toHex(id))
    if (register) trim(register, own, (kept) => kept.sequence < below && isOld(kept.stamp), place.ledger)
  }
  for (const key of order.registers.map(toHex)) {
    const register = place.registers.get(key)
    const held = register?.marks.get(own)
    if (!register || !held) continue
    if (!isOld(held.stamp)) {
      done.young++
      continue
    }
    dropMark(register, own, place.ledger)
    done.marks++
    if (register.marks.size > 0) continue
    place.registers.delete(key)
    place.waits.changed(key)
    done.bytes += register.bytes.length
  }
}

/** The outcome for what does not verify; anything but a HoldfastError is a bug and goes on. */
function refusal(error: unknown): { ok: false; code: "bad-share"; message: string } {
  if (isHoldfastError(error)) return { ok: false, code: "bad-share", message: error.message }
  throw error
}

async function inOrder<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (const item of items) results.push(await work(item))
  return results
}
