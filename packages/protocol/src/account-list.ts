/**
 * What an account cares for, kept in a register of its own: roots by their aliases, trees linked in them, recovery kits, grants of
 * devices, and how long old versions are kept. Specification: docs/formats/account-list.md.
 */
import {
  type CborValue,
  compare,
  decodeCbor,
  encodeCbor,
  FieldReader,
  HoldfastError,
  limits,
  toHex,
} from "@holdfast/core"
import { decodeCap } from "./cap.ts"

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
}

/** Of an account that cares for nothing yet. */
export const emptyAccountList: AccountList = { roots: new Map(), linked: [], kits: [], epoch: 0, grants: [] }

const what = "account list"
const version = 1
const maxItems = 1024
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** Encodes a list. Throws ERR_LIMIT when it does not fit into a register. */
export function encodeAccountList({ roots, linked, kits, epoch, grants, keepMs }: AccountList): Uint8Array {
  const byName = [...roots].sort(([a], [b]) => (a < b ? -1 : 1))
  const bytes = encodeCbor([
    version,
    byName.map(([name, root]): CborValue => [name, root.cap, root.keepMs ?? null]),
    [...linked].sort(),
    kits.map(({ name, register }): CborValue => [name, register]),
    epoch,
    [...grants],
    keepMs ?? null,
  ])
  if (bytes.length <= limits.registerContentBytes) return bytes
  throw new HoldfastError(
    "ERR_LIMIT",
    `An account's list of ${bytes.length} bytes is over the limit of ${limits.registerContentBytes}. Keep several trees as folders of one.`,
  )
}

/** Decodes a list and checks each capability. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_BAD_CAPABILITY. */
export function decodeAccountList(bytes: Uint8Array): AccountList {
  const fields = new FieldReader(decodeCbor(bytes, what), what)
  const found = fields.integer()
  if (found !== version)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `An account list of version ${found} needs a newer Holdfast.`, {
      version: found,
    })
  const roots = fields.array(maxItems).map(decodeRoot)
  const linked = fields.array(maxItems).map(capText)
  const kits = fields.array(maxItems).map(decodeKit)
  const epoch = fields.integer()
  const grants = fields.array(maxItems).map(bytesOf)
  const keepMs = durationOf(fields.any())
  fields.end()
  if (roots.some(([name], i) => i > 0 && roots[i - 1]![0] >= name)) throw damaged("names in order")
  return { roots: new Map(roots), linked, kits, epoch, grants, ...(keepMs !== undefined && { keepMs }) }
}

/**
 * Everything that any of `lists` has, which writers wrote at the same time: a root too many costs space, one too few data. Two
 * roots of one name are both kept.
 */
export function joinAccountLists([first, ...others]: readonly AccountList[]): AccountList {
  let list = first ?? emptyAccountList
  for (const other of others) {
    const roots = new Map(list.roots)
    for (const [name, root] of other.roots) roots.set(nameFor(roots, name, root.cap), root)
    list = {
      ...(list.keepMs === undefined ? other : list),
      roots,
      linked: [...new Set([...list.linked, ...other.linked])],
      kits: unique([...list.kits, ...other.kits], ({ register }) => register),
      epoch: Math.max(list.epoch, other.epoch),
      grants: unique([...list.grants, ...other.grants], (grant) => grant),
    }
  }
  return list
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
