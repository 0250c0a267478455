/**
 * Shares the memory for requests among tenants, and within each among its members: who holds least is served first, and a part is
 * kept for those who hold next to nothing. Who waits on the other side of a slow line holds memory only as long as nobody who
 * has less needs it. Specification: docs/protocols/storage-node.md, section Memory.
 */
import { assert, HoldfastError } from "@holdfast/core"
import { Progress } from "./progress.ts"

/** Whose a request is. */
export interface Asker {
  readonly tenant: string
  readonly member: string
}

/** How memory is shared. */
export interface MemoryOptions {
  readonly totalBytes: number
  /** Most that one request needs: what each tenant may hold whatever others do. At most a quarter of all. */
  readonly unitBytes: number
  /** A clock that never goes back. */
  readonly nowMs: () => number
  /** Calls `run` once, later. */
  readonly later: (ms: number, run: () => void) => void
  /** How long a request may wait for memory. Default 20 s. */
  readonly queueMs?: number
}

/** Kept free of tenants that hold more than one request's memory. */
const reservedPart = 1 / 4
/** Kept, beside the memory for one request, for tenants that hold no more than an equal part of it, and than `tinyPart` of a request's. */
const tinyReservedPart = 1 / 16
const tinyPart = 1 / 16
/** Whoever needs longer for the rest, at the pace of the last moments, is slow; slow ones end when others need their memory. */
const soonMs = 5_000
const quickWindowMs = 1_000
/** Whoever is slower than this for long is ended for anybody who waits. */
const leastRate = 16
const longWindowMs = 10_000
const checkEveryMs = 100
/** Looking for one to end takes time that grows with the number of requests: not for each of them. */
const searchEveryMs = 20
/** Who waited so long, and asks for no more than its share, comes before those who have more: small requests do not keep out large ones. */
const patientMs = 1_000
/** Tenants that are looked at for one who may claim memory. */
const claimants = 16

/** What a member or a tenant holds, and how many requests it has. */
class Account {
  bytes = 0
  requests = 0
  /** Of a tenant: those of its members. */
  readonly members = new Map<string, Account>()
}

interface Waiter {
  readonly bytes: number
  readonly sinceMs: number
  readonly untilMs: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** The memory of one request, from its headers to the end of its answer. */
export class Holding {
  /** What it holds. */
  bytes = 0
  /** What the other side has yet to send or to take; 0 while the work is here. */
  leftBytes = 0
  waiter: Waiter | undefined
  isReleased = false
  readonly tenant: Account
  readonly member: Account
  readonly order: number
  readonly onEnd: () => void
  /** Takes it out of the counts of its member and tenant. */
  readonly forget: () => void
  readonly #memory: FairMemory
  #paces: readonly [quick: Progress, long: Progress]

  constructor(memory: FairMemory, of: Pick<Holding, "tenant" | "member" | "order" | "onEnd" | "forget">) {
    this.#memory = memory
    this.tenant = of.tenant
    this.member = of.member
    this.order = of.order
    this.onEnd = of.onEnd
    this.forget = of.forget
    this.#paces = this.#newPaces()
  }

  /** Waits until it may hold `bytes`. Throws ERR_REMOTE (status 503) when that takes too long. */
  async grow(bytes: number): Promise<void> {
    await this.#memory.grow(this, bytes)
    this.#paces = this.#newPaces() // it could not move while it waited
  }

  /** Holds `bytes` and no more; a little more than before does not wait. */
  set(bytes: number): void {
    this.#memory.set(this, bytes)
  }

  /** From now on the other side has `bytes` to move. */
  expect(bytes: number): void {
    this.leftBytes = bytes
    this.#paces = this.#newPaces()
  }

  /** The other side moved `bytes`. */
  moved(bytes: number): void {
    this.leftBytes = Math.max(0, this.leftBytes - bytes)
    for (const pace of this.#paces) pace.add(bytes, this.#memory.nowMs())
  }

  release(): void {
    this.#memory.release(this)
  }

  /** How long the other side takes for the rest, in ms; undefined while that cannot be told. */
  leftMs(): number | undefined {
    if (this.leftBytes === 0) return undefined
    const rate = this.#paces[0].rate(this.#memory.nowMs())
    return rate === undefined ? undefined : this.leftBytes / rate
  }

  isStalled(): boolean {
    if (this.leftBytes === 0 || this.waiter) return false
    const rate = this.#paces[1].rate(this.#memory.nowMs())
    return rate !== undefined && rate < leastRate
  }

  #newPaces(): readonly [Progress, Progress] {
    const nowMs = this.#memory.nowMs()
    return [new Progress(quickWindowMs, nowMs), new Progress(longWindowMs, nowMs)]
  }
}

/** Bytes that requests share. */
export class FairMemory {
  readonly nowMs: () => number
  readonly #options: MemoryOptions
  readonly #unitBytes: number
  readonly #holdings = new Set<Holding>()
  readonly #waiting = new Set<Holding>()
  readonly #tenants = new Map<string, Account>()
  #freeBytes: number
  #order = 0
  /** The one that may use the last of the memory to come to its end, so that requests never wait for each other in a ring. */
  #finisher: Holding | undefined
  #isChecking = false
  #searchedMs = Number.NEGATIVE_INFINITY

  constructor(options: MemoryOptions) {
    this.#options = options
    this.nowMs = options.nowMs
    this.#freeBytes = options.totalBytes
    this.#unitBytes = Math.min(options.unitBytes, Math.floor(options.totalBytes * reservedPart))
  }

  /** Begins a request, which holds nothing yet. `onEnd` is called when it is ended for others; it has been released then. */
  open(asker: Asker, onEnd: () => void): Holding {
    const tenant = accountOf(this.#tenants, asker.tenant)
    const member = accountOf(tenant.members, asker.member)
    tenant.requests++
    member.requests++
    const forget = () => {
      if (--member.requests === 0) tenant.members.delete(asker.member)
      if (--tenant.requests === 0) this.#tenants.delete(asker.tenant)
    }
    const holding = new Holding(this, { tenant, member, order: this.#order++, onEnd, forget })
    this.#holdings.add(holding)
    return holding
  }

  async grow(holding: Holding, wanted: number): Promise<void> {
    assert(!holding.waiter, "a request waits once")
    const bytes = Math.min(wanted, this.#unitBytes)
    if (holding.isReleased || bytes <= holding.bytes) return
    if (this.#waiting.size === 0 && this.#fits(holding, bytes)) return this.#hold(holding, bytes)
    const { queueMs = 20_000 } = this.#options
    const sinceMs = this.nowMs()
    const granted = new Promise<void>((resolve, reject) => {
      holding.waiter = { bytes, sinceMs, untilMs: sinceMs + queueMs, resolve, reject }
    })
    this.#waiting.add(holding)
    this.#serve()
    await granted
  }

  set(holding: Holding, bytes: number): void {
    if (holding.isReleased) return
    const less = holding.bytes - bytes
    this.#hold(holding, bytes)
    if (less > 0) this.#serve()
  }

  release(holding: Holding): void {
    if (holding.isReleased) return
    this.#drop(holding)
    this.#serve()
  }

  #drop(holding: Holding): void {
    this.#hold(holding, 0)
    holding.isReleased = true
    holding.forget()
    this.#holdings.delete(holding)
    if (this.#finisher === holding) this.#finisher = undefined
    this.#stopWaiting(holding)?.resolve() // it sees that its request is gone
  }

  #stopWaiting(holding: Holding): Waiter | undefined {
    const { waiter } = holding
    holding.waiter = undefined
    this.#waiting.delete(holding)
    return waiter
  }

  #hold(holding: Holding, bytes: number): void {
    const more = bytes - holding.bytes
    this.#freeBytes -= more
    holding.bytes = bytes
    holding.member.bytes += more
    holding.tenant.bytes += more
  }

  /** Gives what is free to whoever has least, and ends who is slow and has more than others who wait. */
  #serve(): void {
    while (this.#waiting.size > 0) {
      const first = this.#longestWaiting()
      const next = this.#neediest(first) ?? this.#finishing(first)
      if (next) this.#grant(next)
      else if (!this.#endOneFor(first)) break
    }
    if (this.#waiting.size > 0) this.#checkLater()
  }

  /** Of those that fit, and may go before `first`, who holds least. */
  #neediest(first: Holding | undefined): Holding | undefined {
    const share = this.#share()
    let least: Holding | undefined
    for (const holding of this.#waiting)
      if ((!least || byNeed(holding, least) < 0) && this.#fits(holding, holding.waiter!.bytes))
        if (!first || holding === first || this.#goesBefore(holding, first, share)) least = holding
    return least
  }

  /** All who stay within their shares fit beside the one that waits longest, so they do not keep it waiting for ever. */
  #goesBefore(holding: Holding, first: Holding, share: number): boolean {
    const heldThen = ({ tenant, bytes, waiter }: Holding) => tenant.bytes + waiter!.bytes - bytes
    return heldThen(holding) <= this.#tinyBytes() || heldThen(holding) <= Math.min(share, heldThen(first) - 1)
  }

  #grant(holding: Holding): void {
    const { bytes, resolve } = this.#stopWaiting(holding)!
    this.#hold(holding, bytes)
    resolve()
  }

  #fits(holding: Holding, wanted: number): boolean {
    const more = wanted - holding.bytes
    if (holding === this.#finisher) return more <= this.#freeBytes
    return more <= this.#freeBytes - this.#keptFrom(holding.tenant.bytes + more)
  }

  /** What must stay free when a tenant holds `bytes`. */
  #keptFrom(bytes: number): number {
    const { totalBytes } = this.#options
    const forFinisher = this.#unitBytes - (this.#finisher?.bytes ?? 0)
    if (bytes <= this.#tinyBytes()) return forFinisher
    const forTiny = forFinisher + totalBytes * tinyReservedPart
    return bytes <= this.#unitBytes ? forTiny : Math.max(forTiny, totalBytes * reservedPart)
  }

  /** So little that all tenants can hold it at once: whoever asks for no more is served at once, whatever others hold. */
  #tinyBytes(): number {
    const reserve = this.#options.totalBytes * tinyReservedPart
    return Math.min(this.#unitBytes * tinyPart, reserve / Math.max(1, this.#tenants.size))
  }

  #finishing(first: Holding | undefined): Holding | undefined {
    if (this.#finisher) return undefined
    const couldEnd = ({ bytes }: Holding) => this.#unitBytes - bytes <= this.#freeBytes
    if (first && couldEnd(first)) this.#finisher = first
    else
      for (const holding of this.#waiting)
        if (holding.bytes > 0 && couldEnd(holding) && (!this.#finisher || byNeed(holding, this.#finisher) < 0))
          this.#finisher = holding
    return this.#finisher
  }

  #share(): number {
    return (this.#options.totalBytes - this.#keptFrom(Number.POSITIVE_INFINITY)) / this.#tenants.size
  }

  /** Of those who are patient and within their share, who waits longest. */
  #longestWaiting(): Holding | undefined {
    const untilMs = this.nowMs() - patientMs
    const share = this.#share()
    let first: Holding | undefined
    for (const holding of this.#waiting) {
      const { sinceMs } = holding.waiter!
      if (sinceMs > untilMs || !mayClaim(holding, holding.tenant, share)) continue
      if (!first || sinceMs < first.waiter!.sinceMs) first = holding
    }
    return first
  }

  /** Ends a slow request for one who may claim its memory; false when there is none. */
  #endOneFor(first: Holding | undefined): boolean {
    if (this.nowMs() - this.#searchedMs < searchEveryMs) return false
    const victim = [...this.#holdings].find((holding) => holding.isStalled()) ?? this.#claimedFor(first)
    if (!victim) {
      this.#searchedMs = this.nowMs()
      return false
    }
    this.#drop(victim)
    victim.onEnd()
    return true
  }

  /** What the neediest of each tenant may claim, as far as we look. */
  #claimedFor(first: Holding | undefined): Holding | undefined {
    const slow = [...this.#holdings].filter((holding) => this.#isSlow(holding))
    const neediest = new Map<Account, Holding>()
    for (const holding of this.#waiting) {
      const before = neediest.get(holding.tenant)
      if (!before || byNeed(holding, before) < 0) neediest.set(holding.tenant, holding)
    }
    const claiming = [...(first ? [first] : []), ...[...neediest.values()].sort(byNeed).slice(0, claimants)]
    for (const claimant of claiming) {
      const victim = this.#slowOverShare(claimant, slow)
      if (victim) return victim
    }
    return undefined
  }

  /** The slowest of the tenant that holds most, if the claimant has less; else the same among the members of its own tenant. */
  #slowOverShare(claimant: Holding, slow: readonly Holding[]): Holding | undefined {
    const { tenant, member } = claimant
    const share = this.#share()
    if (mayClaim(claimant, tenant, share)) {
      const most = Math.max(share, tenant.bytes)
      const over = slow.filter((other) => other.tenant !== tenant && other.tenant.bytes > most)
      if (over.length > 0) return slowest(over, (other) => other.tenant.bytes)
    }
    const memberShare = share / tenant.members.size
    if (!mayClaim(claimant, member, memberShare)) return undefined
    const most = Math.max(memberShare, member.bytes)
    const over = slow.filter((other) => other.tenant === tenant && other.member !== member && other.member.bytes > most)
    return slowest(over, (other) => other.member.bytes)
  }

  /** What waits for more memory with some in hand keeps others waiting just as well. */
  #isSlow(holding: Holding): boolean {
    const { waiter, bytes } = holding
    if (waiter) return bytes > 0 && this.nowMs() - waiter.sinceMs >= quickWindowMs
    return (holding.leftMs() ?? 0) > soonMs
  }

  #checkLater(): void {
    if (this.#isChecking) return
    this.#isChecking = true
    this.#options.later(checkEveryMs, () => {
      this.#isChecking = false
      const nowMs = this.nowMs()
      for (const holding of this.#waiting)
        if (holding.waiter!.untilMs <= nowMs) this.#stopWaiting(holding)!.reject(tooLate())
      this.#serve()
    })
  }
}

/** First whose tenant would hold least, then whose member would, then who came first. */
function byNeed(a: Holding, b: Holding): number {
  const more = (a.waiter?.bytes ?? 0) - a.bytes - (b.waiter?.bytes ?? 0) + b.bytes
  return a.tenant.bytes - b.tenant.bytes + more || a.member.bytes - b.member.bytes + more || a.order - b.order
}

/** True for who stays within its share with what it waits for, and for its only request. */
function mayClaim({ bytes, waiter }: Holding, account: Account, share: number): boolean {
  return account.bytes === bytes || account.bytes + waiter!.bytes - bytes <= share
}

function slowest(candidates: readonly Holding[], heldBy: (holding: Holding) => number): Holding | undefined {
  return candidates.toSorted(
    (a, b) => heldBy(b) - heldBy(a) || (b.leftMs() ?? 0) - (a.leftMs() ?? 0) || b.bytes - a.bytes || b.order - a.order,
  )[0]
}

function accountOf(accounts: Map<string, Account>, name: string): Account {
  const known = accounts.get(name) ?? new Account()
  accounts.set(name, known)
  return known
}

function tooLate(): HoldfastError {
  return new HoldfastError("ERR_REMOTE", "The server has no memory for this request now. Try again.", { status: 503 })
}
