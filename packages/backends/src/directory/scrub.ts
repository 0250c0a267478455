/**
 * The scrub reads everything that is stored and checks it, without a key. What is rotten moves to the folder
 * `quarantine` and is no longer held, so that a repair puts a good one in its place. What a later version wrote is told, and stays.
 */
import { equal, HoldfastError, toHex } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import {
  decodeRegisterValue,
  isNewerShare,
  isNewerShareHead,
  isNewerValue,
  isNewerValueHead,
  rankOf,
  registerIdOf,
  type Share,
  shareName,
  verifyShare,
} from "@holdfast/protocol"
import { Codewords } from "./codewords.ts"
import type { TenantRow } from "./database.ts"
import { saysNothing } from "./files.ts"
import type { EngineParts } from "./parts.ts"
import type { RegisterRow } from "./registers.ts"
import type { ShareRow } from "./shares.ts"

/** Something rotten that was found. */
export interface Rot {
  readonly tenant: string
  /** "chunk.index", or "register." and the register's id. */
  readonly share: string
  readonly why: string
}

/** What a scrub found. */
export interface ScrubReport {
  readonly shares: number
  readonly registers: number
  readonly bytes: number
  readonly rot: readonly Rot[]
  /** What is of a version that is not known here: a later one wrote it before a downgrade. It stays. */
  readonly newer: readonly { readonly tenant: string; readonly share: string }[]
  /** Chunks whose shares here do not follow from the same data, where k of them are here: nothing is rotten, whoever wrote them lied. */
  readonly inconsistent: readonly { readonly tenant: string; readonly chunk: string }[]
}

/** Options of a scrub. */
export interface ScrubOptions {
  readonly signal?: AbortSignal
  /** How fast it reads; as fast as it can by default. */
  readonly bytesPerSecond?: number
  /** Hears how many bytes were checked so far. */
  readonly onProgress?: (bytes: number) => void
}

/** What a check finds that is neither good nor rotten. */
const newer = Symbol("of a newer version")
/** Why something is rotten; undefined when it is good. */
type Finding = string | typeof newer | undefined

const rowsAtOnce = 64
const notReported = 1000
/** Checks every share and register of every tenant. */
export async function scrub(parts: EngineParts, options: ScrubOptions): Promise<ScrubReport> {
  const found = {
    shares: 0,
    registers: 0,
    bytes: 0,
    rot: [] as Rot[],
    newer: [] as ScrubReport["newer"][number][],
    inconsistent: [] as ScrubReport["inconsistent"][number][],
  }
  const deps = { crypto: parts.crypto, erasure: await createErasure() }
  const note = async (tenant: TenantRow, share: string, bytes: number, check: () => Promise<Finding>) => {
    options.signal?.throwIfAborted()
    found.bytes += bytes
    options.onProgress?.(found.bytes)
    const why = await parts.track(check)
    if (why === newer) {
      if (found.newer.length < notReported) found.newer.push({ tenant: tenant.name, share })
    } else if (why !== undefined && found.rot.length < notReported) found.rot.push({ tenant: tenant.name, share, why })
    if (options.bytesPerSecond !== undefined)
      await parts.clock.sleep(Math.ceil((1000 * bytes) / options.bytesPerSecond), options.signal)
  }
  for (const tenant of parts.index.tenants()) {
    const codewords = new Codewords(deps, (chunk) => {
      if (found.inconsistent.length < notReported) found.inconsistent.push({ tenant: tenant.name, chunk })
    })
    for (const row of pages((last?: ShareRow) =>
      parts.index.sharesAfter(tenant.tenant, last?.chunk ?? new Uint8Array(), last?.idx ?? -1, rowsAtOnce),
    )) {
      found.shares++
      await note(tenant, shareName(row.chunk, row.idx), row.size, () =>
        checkShare(parts, tenant, row, (share) => codewords.add(share)),
      )
    }
    codewords.end()
    for (const row of pages((last?: RegisterRow) =>
      parts.index.registers.after(tenant.tenant, last?.register ?? new Uint8Array(), rowsAtOnce),
    )) {
      found.registers++
      const name = `register.${toHex(row.register)}`
      await note(tenant, name, row.value.length, () => checkRegister(parts, tenant, row))
    }
  }
  return found
}

function* pages<T>(page: (last?: T) => T[]): Generator<T> {
  for (let rows = page(); rows.length > 0; rows = page(rows.at(-1))) yield* rows
}

/** Why a share is rotten, once it is out of the way, or cannot be read now; undefined when it is good. */
async function checkShare(
  parts: EngineParts,
  tenant: TenantRow,
  row: ShareRow,
  onGood: (share: Share) => Promise<void>,
): Promise<Finding> {
  const { index, files, committer } = parts
  let bytes: Uint8Array | undefined
  let share: Share | undefined
  let why: string | undefined
  try {
    bytes = row.file === null ? index.small(row) : await files.read(tenant.name, row.file)
    const checked = bytes ? await examine(parts, row, bytes) : "it is missing"
    if (checked === newer) return newer
    if (typeof checked === "string") why = checked
    else share = checked
  } catch (error) {
    const { code = "unknown error" } = error as { code?: string }
    why = `it cannot be read (${code})`
    if (saysNothing(error)) return why // it stays: it may well be good
    if (code === "EFBIG" && row.file !== null && (await files.isNewer(tenant.name, row.file))) return newer
  }
  if (share) await onGood(share)
  if (why === undefined) return undefined
  const dropped = await committer.run(() => {
    const now = index.share(tenant.tenant, row.chunk, row.idx)
    if (now?.row !== row.row || now.file !== row.file) return false // removed since, or a good one came in its place
    if (now.file === null && !isSame(index.small(now), bytes)) return false // numbers of rows come again
    index.marks.dropMarks(tenant.tenant, now, index.marks.marksOf(now.row)) // commands that count on it must know
    index.dropShare(tenant.tenant, now)
    return true
  })
  if (!dropped) return undefined
  if (row.file !== null) await files.quarantine(tenant.name, row.file)
  else if (bytes) await files.quarantine(tenant.name, shareName(row.chunk, row.idx), bytes)
  return why
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a && b ? equal(a, b) : a === b
}

/** The share, or what is wrong with it. */
async function examine(
  parts: EngineParts,
  row: ShareRow,
  bytes: Uint8Array,
): Promise<Share | Exclude<Finding, undefined>> {
  try {
    const share = await verifyShare(parts.crypto, bytes)
    if (equal(share.id, row.chunk) && share.index === row.idx) return share
    return "it is another share"
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    // Of what is too large for a small share the index gives nothing but its beginning.
    const isLarge = bytes.length === 0 && row.file === null
    const isOfNewer = isLarge
      ? isNewerShareHead(parts.index.smallHead(row) ?? bytes)
      : await isNewerShare(parts.crypto, bytes)
    return isOfNewer ? newer : error.message
  }
}

async function checkRegister(parts: EngineParts, tenant: TenantRow, row: RegisterRow): Promise<Finding> {
  const { index, files, committer } = parts
  try {
    const value = await decodeRegisterValue(parts.crypto, row.value)
    if (equal(registerIdOf(value.publicKey), row.register) && rankOf(value) === row.sequence) return undefined
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    const head = row.value.length > 0 ? undefined : index.registers.head(tenant.tenant, row.register)?.head
    if (head ? isNewerValueHead(head) : await isNewerValue(parts.crypto, row.value)) return newer
  }
  const dropped = await committer.run(() => {
    const now = index.registers.get(tenant.tenant, row.register)
    if (!now || !equal(now.value, row.value)) return false
    index.registers.unmark(tenant.tenant, now, () => true)
    index.registers.drop(tenant.tenant, now)
    return true
  })
  if (!dropped) return undefined
  await files.quarantine(tenant.name, `register.${toHex(row.register)}`, row.value)
  return "its signature is wrong"
}
