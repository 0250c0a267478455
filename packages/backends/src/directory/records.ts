/** Which devices an account has, as far as this place knows: the record of the highest epoch. Specification: docs/formats/account.md. */
import { equal, HoldfastError, toHex } from "@holdfast/core"
import {
  type AccountAccess,
  type AccountGrant,
  type AccountId,
  type AccountRecord,
  accountOf,
  decodeRecord,
} from "@holdfast/protocol"
import { rowBytes } from "../rules.ts"
import { unlessFull } from "./database.ts"
import { type EngineParts, newAccountBytes, overQuota, type Tenant, takeSpace } from "./parts.ts"

/** A record with its grants decoded. */
export type KnownRecord = AccountRecord & { readonly devices: readonly AccountGrant[] }

/** The records of one tenant's accounts. */
export class AccountRecords {
  readonly #parts: EngineParts
  readonly #tenant: Tenant
  readonly #known = new Map<string, Promise<KnownRecord | undefined>>()

  /** The day on which an account was last noted. */
  readonly #seen = new Map<string, number>()

  constructor(parts: EngineParts, tenant: Tenant) {
    this.#parts = parts
    this.#tenant = tenant
  }

  /** The record held of an account. */
  get(account: AccountId): Promise<KnownRecord | undefined> {
    if (this.#parts.isShared) return this.#read(account)
    const key = toHex(account)
    const known = this.#known.get(key)
    if (known) return known
    // Known before it is decoded, so that `take` meanwhile makes it unknown again and nobody goes on with the older one.
    const reading = this.#read(account)
    if (this.#known.size >= most) this.#known.clear()
    this.#known.set(key, reading)
    reading.catch(() => this.#known.delete(key))
    return reading
  }

  async #read(account: AccountId): Promise<KnownRecord | undefined> {
    const { record } = this.#parts.index.marks.account(this.#tenant.tenant, account) ?? { record: null }
    return record ? decodeRecord(this.#parts.crypto, record) : undefined
  }

  /** Notes that a device of an account was here; the day is kept, not the time. */
  async noteSeen(account: AccountId): Promise<void> {
    const key = toHex(account)
    const day = Math.floor(this.#parts.clock.nowMs() / 86_400_000)
    if (this.#seen.get(key) === day || !this.#parts.index.marks.account(this.#tenant.tenant, account)) return
    if (this.#seen.size >= most) this.#seen.clear()
    this.#seen.set(key, day)
    const { committer, index } = this.#parts
    await committer.run(() => index.marks.setSeen(day, this.#tenant.tenant, account)).catch(unlessFull) // who reads does so all the same
  }

  /** Takes a record with a higher epoch; an older one is no error. Throws ERR_REFUSED, ERR_QUOTA_EXCEEDED, ERR_SERVER_FULL. */
  async take({ account }: AccountAccess, encoded: Uint8Array): Promise<void> {
    const { committer, index, crypto } = this.#parts
    const record = await decodeRecord(crypto, encoded)
    if (!equal(accountOf(record), account)) throw new HoldfastError("ERR_REFUSED", "This is another account's record.")
    await this.#parts.space.measure()
    await committer.run(() => {
      const known = index.marks.account(this.#tenant.tenant, account)
      if (known && record.epoch <= known.epoch) return
      const moreBytes = encoded.length - (known?.record?.length ?? -rowBytes)
      const storedBytes = moreBytes + newAccountBytes(this.#parts, this.#tenant, [account])
      // Who takes a device's access back must be able to: a record in place of another may go beyond limits as removals may.
      const isReplacing = known?.record != null
      const purposes = { forRemoval: isReplacing, isReplacing }
      const message = overQuota(this.#parts, this.#tenant, { account, moreBytes, storedBytes, ...purposes })
      if (message !== undefined) throw new HoldfastError("ERR_QUOTA_EXCEEDED", message)
      if (storedBytes > 0 && !takeSpace(this.#parts, this.#tenant, storedBytes, purposes))
        throw new HoldfastError(
          "ERR_SERVER_FULL",
          "The server has no space left for what an account has to say of its devices.",
        )
      const row = index.marks.accountFor(this.#tenant.tenant, account)
      index.marks.setRecord(encoded, record.epoch, row.account)
      index.marks.charge(moreBytes, 0, row.account)
      index.chargeTenant(moreBytes, this.#tenant.tenant)
    })
    this.#known.delete(toHex(account))
  }
}

/** Most records kept decoded. */
const most = 1024
