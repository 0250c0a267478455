/**
 * Storing shares: check, write what is large to files, then name and mark all of a batch in one transaction. Until that commits
 * nothing of it is visible; a crash leaves at most files that no row names, which the next start looks through.
 */
import { HoldfastError, isHoldfastError, mapPoolToEnd } from "@holdfast/core"
import { type PutOutcome, type Share, verifyShare } from "@holdfast/protocol"
import { markBytes, rowBytes, smallShareBytes } from "../rules.ts"
import { isDiskFull } from "./database.ts"
import { inParts, markShare, sharesAtOnce } from "./marking.ts"
import { type Caller, type EngineParts, newRowBytes, overQuota, type Tenant, takeSpace } from "./parts.ts"
import type { ShareRow } from "./shares.ts"

type Refusal = Extract<PutOutcome, { ok: false }>

/** A share that passed its checks and waits for the transaction. */
interface Staged {
  readonly share: Share
  readonly bytes: Uint8Array
  /** Where its bytes are; absent when the share held has the same bytes and is only to be marked. */
  readonly place?: Uint8Array | string
  /** The row whose bytes turned out to be wrong. */
  readonly replaces?: ShareRow
}

/** What the transaction made of a staged share. */
interface Committed {
  /** Absent when the share held was removed meanwhile: to be put again. */
  readonly outcome?: PutOutcome
  /** A file that no row names any more. */
  readonly unused?: string
}

const parallelChecks = 16
const attempts = 4

/** Puts shares into the namespace of one tenant. */
export class SharePutter {
  readonly #parts: EngineParts
  readonly #tenant: Tenant
  /** Bytes of large shares being written, which no row counts yet. */
  #pendingBytes = 0

  constructor(parts: EngineParts, tenant: Tenant) {
    this.#parts = parts
    this.#tenant = tenant
  }

  /** Stores shares durably, held for the caller and the accounts it names. */
  async put(shares: readonly Uint8Array[], caller: Caller): Promise<PutOutcome[]> {
    await this.#parts.space.measure()
    const outcomes = new Array<PutOutcome | undefined>(shares.length)
    for (let attempt = 0; attempt < attempts; attempt++) {
      const open = shares.flatMap((_, i) => (outcomes[i] ? [] : [i]))
      if (open.length === 0) break
      const results = await this.#attempt(
        open.map((i) => shares[i]!),
        caller,
      )
      for (const [j, outcome] of results.entries()) outcomes[open[j]!] = outcome
    }
    return outcomes.map(
      (outcome) => outcome ?? refuse("io", "This share is being removed at the same time; try again."),
    )
  }

  async #attempt(shares: readonly Uint8Array[], caller: Caller): Promise<(PutOutcome | undefined)[]> {
    const { files } = this.#parts
    const { name } = this.#tenant
    const written: Staged[] = []
    try {
      const stage = async (bytes: Uint8Array) => {
        const item = await this.#stage(bytes, caller)
        if (!("ok" in item) && typeof item.place === "string") written.push(item)
        return item
      }
      const staged = await mapPoolToEnd(shares, parallelChecks, stage).catch(async (error: unknown) => {
        await files.remove(name, filesOf(written)).catch(() => undefined) // left to the next start
        throw error
      })
      const ready = staged.filter((item): item is Staged => !("ok" in item))
      const committed: Committed[] = []
      for (const some of inParts(ready, sharesAtOnce(caller))) committed.push(...(await this.#commitAll(some, caller)))
      const unused = committed.flatMap((result) => (result.unused === undefined ? [] : [result.unused]))
      await files.remove(name, unused).catch(() => undefined) // no row names them
      let next = 0
      return staged.map((item) => ("ok" in item ? item : committed[next++]!.outcome))
    } finally {
      for (const { bytes } of written) this.#pendingBytes -= bytes.length
    }
  }

  /** In one transaction, after which each share is there or refused. */
  async #commitAll(ready: readonly Staged[], caller: Caller): Promise<Committed[]> {
    const { files, committer, stamps } = this.#parts
    const { name } = this.#tenant
    const written = filesOf(ready)
    try {
      await files.syncDirectories(name, written)
      return await committer.run(() => {
        const stamp = stamps.next()
        return ready.map((item) => this.#commit(item, caller, stamp))
      }, name)
    } catch (error) {
      await files.remove(name, written).catch(() => undefined) // left to the next start
      return ready.map(() => ({ outcome: diskRefusal(error) }))
    }
  }

  async #stage(bytes: Uint8Array, caller: Caller): Promise<Staged | Refusal> {
    const { index, files } = this.#parts
    const share = await verifyShare(this.#parts.crypto, bytes).catch(formRefusal)
    if ("ok" in share) return share
    const held = index.share(this.#tenant.tenant, share.id, share.index)
    if (held && (await this.#holds(held, bytes))) return { share, bytes }
    const replaces = held && { replaces: held }
    const tooMuch = held ? undefined : this.#overQuota(bytes, caller, this.#pendingBytes)
    if (tooMuch) return tooMuch
    if (!takeSpace(this.#parts, this.#tenant, bytes.length + rowBytes, caller))
      return refuse("full", "The server has no space left for shares.")
    if (bytes.length < smallShareBytes) return { share, bytes, place: bytes, ...replaces }
    this.#pendingBytes += bytes.length
    try {
      return { share, bytes, place: await files.write(this.#tenant.name, share.id, share.index, bytes), ...replaces }
    } catch (error) {
      this.#pendingBytes -= bytes.length
      return diskRefusal(error)
    }
  }

  async #holds(held: ShareRow, bytes: Uint8Array): Promise<boolean> {
    if (held.size !== bytes.length) return false
    if (held.file === null) return equalIfThere(this.#parts.index.small(held), bytes)
    return equalIfThere(await this.#parts.files.read(this.#tenant.name, held.file).catch(() => undefined), bytes)
  }

  #overQuota(bytes: Uint8Array, caller: Caller, pendingBytes: number): Refusal | undefined {
    const { access, accounts, forRemoval } = caller
    const moreBytes = bytes.length + rowBytes + accounts.length * markBytes + pendingBytes
    const storedBytes = moreBytes + newRowBytes(this.#parts, this.#tenant, caller)
    const wanted = { account: access.account, moreBytes, storedBytes, forRemoval }
    const message = overQuota(this.#parts, this.#tenant, wanted)
    return message === undefined ? undefined : refuse("quota", message)
  }

  /** Inside the transaction. */
  #commit({ share, bytes, place, replaces }: Staged, caller: Caller, stamp: number): Committed {
    const { index } = this.#parts
    const { tenant } = this.#tenant
    const file = typeof place === "string" ? { unused: place } : {}
    const held = index.share(tenant, share.id, share.index)
    const isWrong = held && replaces && held.row === replaces.row && held.file === replaces.file
    if (held && !isWrong) return { outcome: markShare(this.#parts, this.#tenant, held, { ...caller, stamp }), ...file }
    if (place === undefined) return {}
    if (held) {
      index.marks.resize(held, bytes.length)
      index.replaceShare(tenant, held, bytes.length, place)
      const good = { ...held, size: bytes.length }
      const outcome = markShare(this.#parts, this.#tenant, good, { ...caller, stamp })
      const stored = outcome.ok ? { ok: true as const, existed: false } : outcome
      return { outcome: stored, ...(held.file !== null && { unused: held.file }) }
    }
    const tooMuch = this.#overQuota(bytes, caller, 0)
    if (tooMuch) return { outcome: tooMuch, ...file }
    const added = index.addShare(tenant, share.id, share.index, bytes.length, place)
    return { outcome: markShare(this.#parts, this.#tenant, added, { ...caller, stamp }) }
  }
}

function filesOf(staged: readonly Staged[]): string[] {
  return staged.flatMap(({ place }) => (typeof place === "string" ? [place] : []))
}

function equalIfThere(held: Uint8Array | undefined, bytes: Uint8Array): boolean {
  return held !== undefined && Buffer.compare(held, bytes) === 0
}

function refuse(code: Refusal["code"], message: string): Refusal {
  return { ok: false, code, message }
}

function formRefusal(error: unknown): Refusal {
  if (isHoldfastError(error)) return refuse("bad-share", error.message)
  throw error
}

function diskRefusal(error: unknown): Refusal {
  if (isDiskFull(error) || isHoldfastError(error, "ERR_SERVER_FULL"))
    return refuse("full", "The server's disk is full. Its operator frees space, or adds some.")
  return refuse("io", error instanceof HoldfastError ? error.message : "The server could not write to its disk.")
}
