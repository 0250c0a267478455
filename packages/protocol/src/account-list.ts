/**
 * What an account cares for, kept in a register of its own: roots by their aliases, trees linked in them, recovery kits, grants of
 * devices, and how long old versions are kept. Specification: docs/formats/account-list.md.
 */
import {
  type CborValue,
  type CryptoProvider,
  compare,
  decodeCbor,
  encodeCbor,
  FieldReader,
  HoldfastError,
  hashSmall,
  limits,
  toHex,
  utf8,
} from "@holdfast/core"
import { decodeGrant } from "./account-grant.ts"
import { decodeCap, toVerifyCap } from "./cap.ts"

/** A root that the account owns. */
export interface AccountRoot {
  /** The capability, as text. */
  readonly cap: string
  /** How long its old versions are kept, in ms; that of the list when absent. */
  readonly keepMs?: number
}

/** A recovery kit's register. */
export interface AccountKit {
  readonly name: string
  /** 32 bytes. */
  readonly register: Uint8Array
}

/** A device whose grant was taken back. */
export interface RevokedDevice {
  /** As its grant named it, 32 bytes. */
  readonly deviceKey: Uint8Array
  /** Grants of this device up to this epoch hold no more. */
  readonly epoch: number
  readonly name: string
}

/** What an account cares for on one volume or grid. */
export interface AccountList {
  readonly roots: ReadonlyMap<string, AccountRoot>
  /** Capabilities of trees linked in the roots, as text: needed also while the node that links them cannot be read. */
  readonly linked: readonly string[]
  readonly kits: readonly AccountKit[]
  /** Of the record of the account's devices; 0 before the first. */
  readonly epoch: number
  /** Encoded grants of devices that have not the account's seed. */
  readonly grants: readonly Uint8Array[]
  /** How long old versions are kept, in ms, unless a root says otherwise; the last 16 of any age when absent. */
  readonly keepMs?: number
  /** Keys (`removedKeyOf`) of roots that were removed while devices list them: what such a device lists does not bring them back. */
  readonly removed: readonly Uint8Array[]
  readonly revoked: readonly RevokedDevice[]
}

/** Of an account that cares for nothing yet. */
export const emptyAccountList: AccountList = {
  ...{ roots: new Map(), linked: [], kits: [], epoch: 0, grants: [], removed: [], revoked: [] },
}

const what = "account list"
/** Without the lists of what was removed and revoked; still written while there is nothing of these. */
const firstVersion = 1
const version = 3
const maxItems = 1024
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** Encodes a list. Throws ERR_LIMIT when it does not fit into a register, ERR_INVALID_ARGUMENT for what could not be read again. */
export function encodeAccountList(list: AccountList): Uint8Array {
  const { roots, linked, kits, epoch, grants, keepMs, removed, revoked } = list
  const byName = [...roots].sort(([a], [b]) => (a < b ? -1 : 1))
  const isFirst = removed.length + revoked.length === 0
  if (Math.max(...[byName, linked, kits, grants, removed, revoked].map(({ length }) => length)) > maxItems)
    throw new HoldfastError(
      "ERR_LIMIT",
      `An account's list takes at most ${maxItems} of a kind. Keep several trees as folders of one.`,
    )
  const bytes = encodeCbor([
    isFirst ? firstVersion : version,
    byName.map(([name, root]): CborValue => [name, root.cap, root.keepMs ?? null]),
    [...linked].sort(),
    kits.map(({ name, register }): CborValue => [name, register]),
    epoch,
    [...grants],
    keepMs ?? null,
    ...(isFirst
      ? []
      : [
          removed.toSorted(compare),
          revoked
            .toSorted((a, b) => compare(a.deviceKey, b.deviceKey))
            .map((one): CborValue => [one.deviceKey, one.epoch, one.name]),
        ]),
  ])
  if (bytes.length <= limits.registerContentBytes) return readable(bytes)
  throw new HoldfastError(
    "ERR_LIMIT",
    `An account's list of ${bytes.length} bytes is over the limit of ${limits.registerContentBytes}. Keep several trees as folders of one.`,
  )
}

/** A list that nobody could read any more would take every tree of the account with it. */
function readable(bytes: Uint8Array): Uint8Array {
  try {
    decodeAccountList(bytes)
    return bytes
  } catch (cause) {
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      "This cannot be in the account's list: names have 1 to 64 letters, digits, dots, dashes and underscores, and begin with a letter or digit.",
      {},
      { cause },
    )
  }
}

/** Decodes a list and checks each capability. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_BAD_CAPABILITY. */
export function decodeAccountList(bytes: Uint8Array): AccountList {
  const fields = new FieldReader(decodeCbor(bytes, what), what)
  const found = fields.integer()
  if (found !== version && found !== firstVersion)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `An account list of version ${found} needs a newer Holdfast.`, {
      version: found,
    })
  const roots = fields.array(maxItems).map(decodeRoot)
  const linked = fields.array(maxItems).map(capText)
  const kits = fields.array(maxItems).map(decodeKit)
  const epoch = fields.integer()
  const grants = fields.array(maxItems).map(bytesOf)
  const keepMs = durationOf(fields.any())
  const isFirst = found === firstVersion
  const removed = isFirst ? [] : fields.array(maxItems).map(keyBytes)
  const revoked = isFirst ? [] : fields.array(maxItems).map(decodeRevoked)
  fields.end()
  const ascend = (keys: readonly Uint8Array[]) => keys.every((key, i) => i === 0 || compare(keys[i - 1]!, key) < 0)
  if (!ascend(removed) || !ascend(revoked.map(({ deviceKey }) => deviceKey))) throw damaged("keys in order")
  if (!isFirst && removed.length + revoked.length === 0) throw damaged("the first version, which says as much")
  if (roots.some(([name], i) => i > 0 && roots[i - 1]![0] >= name)) throw damaged("names in order")
  return {
    ...{ roots: new Map(roots), linked, kits, epoch, grants, removed, revoked },
    ...(keepMs !== undefined && { keepMs }),
  }
}

/**
 * Everything that any of `lists` has, which writers wrote at the same time: a root too many costs space, one too few data. Two
 * roots of one name are both kept. A grant that one of them took back is gone all the same, and where the grants are not those of
 * the list with the highest epoch, the epoch is above it: a place that has a record of that epoch takes no other of it.
 */
export async function joinAccountLists(
  crypto: CryptoProvider,
  [first, ...others]: readonly AccountList[],
): Promise<AccountList> {
  let list = first ?? emptyAccountList
  for (const other of others) {
    const roots = new Map(list.roots)
    for (const [name, root] of other.roots) roots.set(nameFor(roots, name, root.cap), root)
    const revoked = joinRevoked([...list.revoked, ...other.revoked])
    const all = unique([...list.grants, ...other.grants], (grant) => grant)
    const grants = await withoutRevoked(crypto, all, revoked)
    const epoch = Math.max(list.epoch, other.epoch)
    const isOther = (one: AccountList) => one.epoch === epoch && grantsOf(one) !== grantsOf({ grants })
    const differs = (list.epoch === other.epoch && devicesOf(list) !== devicesOf(other)) || [list, other].some(isOther)
    list = {
      ...(list.keepMs === undefined ? other : list),
      roots,
      linked: [...new Set([...list.linked, ...other.linked])],
      kits: unique([...list.kits, ...other.kits], ({ register }) => register),
      epoch: epoch + (differs ? 1 : 0),
      grants,
      removed: unique([...list.removed, ...other.removed], (key) => key),
      revoked,
    }
  }
  return list
}

/** Those of `grants` that none of `revoked` takes back. */
export async function withoutRevoked(
  crypto: CryptoProvider,
  grants: readonly Uint8Array[],
  revoked: readonly RevokedDevice[],
): Promise<Uint8Array[]> {
  if (revoked.length === 0) return [...grants]
  const decoded = await Promise.all(grants.map((grant) => decodeGrant(crypto, grant)))
  const isRevoked = ({ deviceKey, epoch }: { readonly deviceKey: Uint8Array; readonly epoch: number }) =>
    revoked.some((one) => compare(one.deviceKey, deviceKey) === 0 && epoch <= one.epoch)
  return grants.filter((_, i) => !isRevoked(decoded[i]!))
}

/** What a removed root is remembered by: one key for all capabilities of a tree, which says nothing of them. */
export async function removedKeyOf(crypto: CryptoProvider, text: string): Promise<Uint8Array> {
  const cap = decodeCap(text)
  const isFixed = cap.kind === "ci" || cap.kind === "cv" || cap.kind === "lit"
  return hashSmall("holdfast/removed-root/1", isFixed ? utf8(text) : (await toVerifyCap(crypto, cap)).publicKey)
}

function joinRevoked(revoked: readonly RevokedDevice[]): RevokedDevice[] {
  const newest = new Map<string, RevokedDevice>()
  for (const one of revoked) {
    const key = toHex(one.deviceKey)
    if (one.epoch > (newest.get(key)?.epoch ?? -1)) newest.set(key, one)
  }
  return [...newest.values()].sort((a, b) => compare(a.deviceKey, b.deviceKey))
}

function grantsOf({ grants }: Pick<AccountList, "grants">): string {
  return grants.map(toHex).sort().join()
}

function devicesOf({ grants, revoked }: AccountList): string {
  return [grantsOf({ grants }), ...revoked.map(({ deviceKey, epoch }) => `${toHex(deviceKey)}-${epoch}`)].join()
}

/** `name`, or one like it that is free, when it stands for another capability. */
function nameFor(roots: ReadonlyMap<string, AccountRoot>, name: string, cap: string): string {
  const isFree = (candidate: string) => (roots.get(candidate)?.cap ?? cap) === cap
  for (let number = 1; ; number++) {
    const candidate = number === 1 ? name : `${name.slice(0, 60)}-${number}`
    if (isFree(candidate)) return candidate
  }
}

function unique<T>(items: readonly T[], keyOf: (item: T) => Uint8Array): T[] {
  return [...new Map(items.map((item) => [toHex(keyOf(item)), item])).values()].sort((a, b) =>
    compare(keyOf(a), keyOf(b)),
  )
}

function decodeRoot(value: CborValue): [string, AccountRoot] {
  const fields = new FieldReader(value, what)
  const name = fields.text(64)
  const cap = capText(fields.text(8192))
  const keepMs = durationOf(fields.any())
  fields.end()
  if (!namePattern.test(name)) throw damaged("an alias")
  return [name, { cap, ...(keepMs !== undefined && { keepMs }) }]
}

function decodeKit(value: CborValue): AccountKit {
  const fields = new FieldReader(value, what)
  const kit = { name: fields.text(64), register: fields.bytes(32).slice() }
  fields.end()
  return kit
}

function decodeRevoked(value: CborValue): RevokedDevice {
  const fields = new FieldReader(value, what)
  const device = { deviceKey: fields.bytes(32).slice(), epoch: fields.integer(1), name: fields.text(64) }
  fields.end()
  return device
}

function keyBytes(value: CborValue): Uint8Array {
  if (value instanceof Uint8Array && value.length === 32) return value.slice()
  throw damaged("a key")
}

function capText(value: CborValue): string {
  if (typeof value !== "string") throw damaged("a capability")
  decodeCap(value)
  return value
}

function bytesOf(value: CborValue): Uint8Array {
  if (value instanceof Uint8Array) return value.slice()
  throw damaged("bytes")
}

function durationOf(value: CborValue): number | undefined {
  if (value === null) return undefined
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value
  throw damaged("a time")
}

function damaged(expected: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `An account list is damaged: expected ${expected}.`)
}
