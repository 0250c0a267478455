/**
 * What the administrator of a bucket may do, who is whoever may delete its objects: see which accounts hold what, and drop one.
 * `!dropped` beside an account's marks says so, with the bucket's own time. While it is there the account's writers are told and
 * not acknowledged; when its grace is over a sweeper takes the marks away. Specification: docs/formats/bucket.md.
 */
import { type CryptoProvider, HoldfastError, isoTime, mapPool, toHex } from "@holdfast/core"
import { type AccountId, type AccountInfo, accountRoles } from "@holdfast/protocol"
import type { PlaceAccounts } from "../place-accounts.ts"
import { leastGraceMs, usualDropGraceMs } from "../rules.ts"
import type { Bucket } from "./bucket.ts"
import { walk } from "./cursor.ts"
import { Inventory } from "./inventory.ts"
import { accountPrefix, dropKey, marksPrefix, parseMarkKey } from "./keys.ts"
import { encodeRetired } from "./lists.ts"
import { MarkObjects } from "./marks.ts"
import { Place } from "./place.ts"

const parallel = 16
const dayMs = 86_400_000

/** The accounts of a bucket, which is closed with it. */
export function openBucketAccounts(
  bucket: Bucket,
  { id, crypto }: { readonly id: string; readonly crypto: CryptoProvider },
): PlaceAccounts {
  const placeOf = (account: AccountId) =>
    new Place({
      ...{ bucket, id, crypto, conditional: false, access: { account, roles: accountRoles } },
      ...{ graceMs: leastGraceMs, listDelayMs: 0, epoch: Number.MAX_SAFE_INTEGER },
    })
  return {
    async list({ signal } = {}) {
      const found = new Map<string, Found>()
      for await (const one of walk(bucket, { prefix: marksPrefix, parse: parseMarkKey, signal })) note(found, one)
      const all: AccountInfo[] = []
      for (const { account, newestMs, droppedMs } of found.values()) {
        const place = placeOf(account)
        const { usedBytes, shareCount } = await new Inventory(place, new MarkObjects(place)).usage({
          ...(signal && { signal }),
        })
        const info = {
          account,
          bytes: usedBytes,
          shares: shareCount,
          seenDay: Math.floor(newestMs / dayMs),
          devices: [],
        }
        all.push(droppedMs === undefined ? info : { ...info, droppedAtMs: droppedMs + usualDropGraceMs })
      }
      return all
    },
    async drop(account, { signal } = {}) {
      const place = placeOf(account)
      await place.requireMarks({ signal, taking: true })
      const { droppedMs } = await new MarkObjects(place).list(account, signal)
      // Said again it goes on counting from the first time.
      if (droppedMs === undefined) await bucket.put(dropKey(account), await encodeRetired(crypto, []), { signal })
    },
    async keep(account, { signal } = {}) {
      const { droppedMs, atMs } = await new MarkObjects(placeOf(account)).list(account, signal)
      if (droppedMs !== undefined && atMs - droppedMs >= usualDropGraceMs) throw tooLate(id, account)
      if (droppedMs !== undefined) await bucket.remove(dropKey(account), { signal })
    },
    close: async () => bucket.close(),
  }
}

interface Found {
  readonly account: AccountId
  newestMs: number
  droppedMs?: number
}

function note(
  found: Map<string, Found>,
  { parsed, modifiedMs }: { parsed: NonNullable<ReturnType<typeof parseMarkKey>>; modifiedMs: number },
): void {
  const { account } = parsed
  const one = found.get(toHex(account)) ?? { account, newestMs: 0 }
  found.set(toHex(account), one)
  if ("name" in parsed) one.newestMs = Math.max(one.newestMs, modifiedMs)
  if ("drops" in parsed) one.droppedMs = modifiedMs
}

/** The word that an account is dropped, as a bucket lists it. */
export interface Drop {
  readonly account: AccountId
  readonly sinceMs: number
}

/**
 * Takes away the marks of accounts whose drop has had its grace, by the bucket's own times. The word stays: who comes back after
 * years is told. What nobody else marks goes like all garbage, in two runs of the sweeper. Gives the accounts that were finished.
 */
export async function finishDrops(
  { bucket }: Place,
  { drops, atMs, signal }: { readonly drops: readonly Drop[]; readonly atMs: number; readonly signal?: AbortSignal },
): Promise<AccountId[]> {
  const isOver = (sinceMs: number) => atMs - sinceMs >= usualDropGraceMs
  const gone: AccountId[] = []
  for (const { account } of drops.filter(({ sinceMs }) => isOver(sinceMs))) {
    const { infos } = await bucket.list(accountPrefix(account), { limit: mostObjects, signal })
    const drop = infos.find(({ key }) => key === dropKey(account)) // looked for again: it may be undone since
    if (!drop || !isOver(drop.modifiedMs)) continue
    const going = infos.filter(({ key }) => key !== drop.key && parseMarkKey(key) !== undefined)
    await mapPool(going, parallel, ({ key }) => bucket.remove(key, { signal }))
    gone.push(account)
  }
  return gone
}

const mostObjects = 100_000

/** The error for who writes for an account that was dropped. */
export function droppedWhy(account: AccountId, droppedMs: number): string {
  const day = isoTime(droppedMs + usualDropGraceMs).slice(0, 10)
  return `account ${toHex(account).slice(0, 16)} was dropped by the administrator, and what it holds goes on ${day}: copy it elsewhere, or have the administrator keep the account`
}

function tooLate(id: string, account: AccountId): HoldfastError {
  return new HoldfastError(
    "ERR_NOT_FOUND",
    `${id}: the time of account ${toHex(account).slice(0, 16)} is over, and what it held goes or is gone.`,
    { server: id },
  )
}
