/**
 * Asks the coordinator for the newest description and takes of it what the pins allow. Whatever is wrong at the coordinator's
 * address, a member goes on with the description it has.
 */
import { createHash } from "node:crypto"
import { readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { finiteNumber, HoldfastError, isHoldfastError, parseOr } from "@holdfast/core"
import { writeSecretFile } from "@holdfast/core/node"
import type { GridDescription } from "@holdfast/protocol"
import * as v from "valibot"
import { call, jsonOf } from "../coordinator-call.ts"
import { parseJson, type SignedGrid, signedGridSchema } from "../grid.ts"
import type { MemberRecord } from "../record.ts"
import { type Identity, loadIdentity, readIdentityFile } from "../tls/identity.ts"
import { type CachedGrid, loadCached, openOffered } from "./cached.ts"
import { type Change, judgeGrid, type Offered } from "./judge.ts"
import { confirmed, type Pinned, type Pins, taken, union, writePins } from "./pins.ts"

/** A description that was not taken. */
export interface GridOffer {
  readonly grid: GridDescription
  readonly violations: readonly string[]
  readonly changes: readonly Change[]
  /** The user has refused these changes before. */
  readonly refused: boolean
}

/** The description that a member goes by. */
export interface FetchedGrid {
  readonly grid: GridDescription
  readonly pins: Pins
  /** It is what the coordinator has now. */
  readonly fresh: boolean
  /** What the user should hear of. */
  readonly warnings: readonly string[]
  /** What the coordinator has instead, and waits for the user's word. */
  readonly offer?: GridOffer
}

/** How the coordinator is asked. */
export interface FetchOptions {
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  readonly identity?: Identity
  readonly nowMs?: number
}

const offerFile = "offered.json"
const askedFile = "asked.json"

/**
 * The newest description that the pins allow; the one before, with the reason, while the coordinator cannot be reached, is
 * not the coordinator, or offers another. Throws ERR_REFUSED when the coordinator itself refuses this member, ERR_ABORTED.
 */
export async function fetchGrid(dir: string, options: FetchOptions = {}): Promise<FetchedGrid> {
  const { identity: given, nowMs = Date.now(), ...more } = options
  const [identity, cached] = await Promise.all([given ?? loadIdentity(dir), loadCached(dir)])
  let signed: SignedGrid
  try {
    signed = await askGrid(identity, cached, more)
  } catch (error) {
    if (!isHoldfastError(error) || isOwnRefusal(error)) throw error
    const isAway = error.code === "ERR_SERVER_UNREACHABLE"
    return stay(cached, isAway ? [] : [`${error.message} Going on with the grid as it was.`])
  }
  return weigh(dir, cached, signed, nowMs)
}

const askedSchema = v.object({ askedMs: finiteNumber })

/** When the coordinator last gave a description that was taken, by this machine's clock; undefined when it never did. */
export async function askedMs(dir: string): Promise<number | undefined> {
  const text = await readFile(join(dir, askedFile), "utf8").catch(() => "{}")
  const asked = safeJson(text)
  return v.is(askedSchema, asked) ? asked.askedMs : undefined
}

/** What the coordinator last offered and was not taken. Throws ERR_NOT_FOUND. */
export async function loadOffer(dir: string, nowMs: number = Date.now()): Promise<GridOffer> {
  const { offered, cached } = await readOffer(dir)
  return offerOf(cached, offered, nowMs)
}

/** The user's yes to the offer with this serial, whatever it changes. Throws ERR_NOT_FOUND, ERR_CONFLICT. */
export async function acceptOffer(
  dir: string,
  serial: number,
): Promise<{ readonly before: CachedGrid; readonly pins: Pins; readonly grid: GridDescription }> {
  const { signed, offered, cached } = await readOffer(dir)
  if (offered.grid.serial !== serial) throw otherSerial(offered.grid.serial, serial)
  const { pins } = await writePins(
    dir,
    { pins: confirmed(cached.pinned.pins, signed, offered.grid), signed },
    { back: true },
  )
  await rm(join(dir, offerFile), { force: true })
  return { before: cached, pins, grid: offered.grid }
}

/** The user's no to what this offer changes: the description before stays, and nobody is asked about the same again. */
export async function refuseOffer(dir: string, serial: number): Promise<void> {
  const { offered, cached } = await readOffer(dir)
  if (offered.grid.serial !== serial) throw otherSerial(offered.grid.serial, serial)
  const { changes } = offerOf(cached, offered, Date.now())
  await writePins(dir, { ...cached.pinned, pins: { ...cached.pinned.pins, refused: digestOfChanges(changes) } })
}

/** Confirms the servers that the description has now: they take shares like all others. */
export async function confirmServers(dir: string): Promise<void> {
  const { pinned, grid } = await loadCached(dir)
  await writePins(dir, { pins: confirmed(pinned.pins, pinned.signed, grid), signed: pinned.signed })
}

async function askGrid(
  identity: Identity,
  { record, pinned }: CachedGrid,
  { timeoutMs = 5_000, signal }: FetchOptions,
): Promise<SignedGrid> {
  const response = await call(identity, record.coordinator, {
    path: "/v1/grid",
    expectedId: record.coordinatorId,
    revoked: pinned.pins.revoked,
    timeoutMs,
    ...(signal ? { signal } : {}),
  })
  return parseOr(signedGridSchema, jsonOf(response, "The coordinator"), "The coordinator's answer")
}

/** Takes a description, or says why not. */
async function weigh(dir: string, cached: CachedGrid, signed: SignedGrid, nowMs: number): Promise<FetchedGrid> {
  const { pins } = cached.pinned
  let offered: Offered
  try {
    offered = openOffered(signed, pins, await readIdentityFile(dir, "ca.pem"))
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    return stay(cached, [`The coordinator offers a description that cannot be used. ${error.message}`])
  }
  const offer = offerOf(cached, offered, nowMs)
  if (offer.violations.length === 0 && offer.changes.length === 0) {
    const isSame = offered.digest === pins.digest
    const next = isSame ? cached.pinned : { pins: taken(pins, signed, offered.grid), signed }
    return take(dir, cached, next, offered.grid, nowMs)
  }
  await writeSecretFile(join(dir, offerFile), JSON.stringify(signed))
  const stayed =
    offer.violations.length === 0 && offered.signedBy !== "itself"
      ? await takeRevoked(dir, cached, offered.grid)
      : cached
  if (offer.violations.length === 0 && !offer.refused) return { ...stay(stayed, []), offer }
  return { ...stay(stayed, [warningOf(offer)]), ...(offer.violations.length === 0 ? {} : { offer }) }
}

async function take(
  dir: string,
  cached: CachedGrid,
  next: Pinned,
  grid: GridDescription,
  nowMs: number,
): Promise<FetchedGrid> {
  const isWritten = next === cached.pinned && (await hasPins(dir))
  const { pins } = isWritten ? next : await writePins(dir, next)
  // Only how often to ask depends on it, so it need not outlive a crash.
  await writeFile(join(dir, askedFile), JSON.stringify({ askedMs: nowMs }), { mode: 0o600 }).catch(() => undefined)
  await rm(join(dir, offerFile), { force: true })
  return { grid, pins, fresh: true, warnings: [] }
}

/** Revoked keys count at once, whatever else waits; but not those of servers that the user confirmed, which weaken. */
async function takeRevoked(dir: string, cached: CachedGrid, { revoked = [] }: GridDescription): Promise<CachedGrid> {
  const { pins } = cached.pinned
  const known = new Set(Object.values(pins.servers))
  const more = revoked.filter((key) => !known.has(key) && !pins.revoked.includes(key))
  if (more.length === 0) return cached
  const next = { ...cached.pinned, pins: { ...pins, revoked: union(pins.revoked, more) } }
  return { ...cached, pinned: await writePins(dir, next) }
}

function stay({ grid, pinned }: CachedGrid, warnings: readonly string[]): FetchedGrid {
  return { grid, pins: pinned.pins, fresh: false, warnings }
}

function offerOf({ record, pinned }: CachedGrid, offered: Offered, nowMs: number): GridOffer {
  const { violations, changes } = judgeGrid(pinned.pins, offered, nowMs)
  const own = changes.filter((change) => concerns(record, change))
  return { grid: offered.grid, violations, changes: own, refused: pinned.pins.refused === digestOfChanges(own) }
}

/** A node spreads no data: of all changes only another key harms it. */
function concerns({ role }: MemberRecord, { what }: Change): boolean {
  return role === "client" || what === "grid-key"
}

function warningOf({ grid, violations, changes }: GridOffer): string {
  const what = violations.length > 0 ? violations : changes.map(({ text }) => text)
  return (
    `The coordinator offers grid description ${grid.serial}, which is not used: ${what.join("; ")}. ` +
    "Going on with the one before; `holdfast grid show` says more. Ask its operator."
  )
}

async function readOffer(dir: string) {
  const cached = await loadCached(dir)
  const text = await readFile(join(dir, offerFile), "utf8").catch(() => {
    throw new HoldfastError("ERR_NOT_FOUND", "The coordinator has offered nothing that waits for your word.")
  })
  const signed = parseOr(signedGridSchema, parseJson(text, offerFile), offerFile)
  return { cached, signed, offered: openOffered(signed, cached.pinned.pins, await readIdentityFile(dir, "ca.pem")) }
}

function otherSerial(offered: number, asked: number): HoldfastError {
  return new HoldfastError(
    "ERR_CONFLICT",
    `The coordinator offers description ${offered}, not ${asked}. Look at it first: holdfast grid show`,
    { offered, asked },
  )
}

function digestOfChanges(changes: readonly Change[]): string {
  return createHash("sha256").update(JSON.stringify(changes)).digest("base64url")
}

async function hasPins(dir: string): Promise<boolean> {
  return readFile(join(dir, "pins.json")).then(
    () => true,
    () => false,
  )
}

/** The coordinator, having proved to be it, refuses this member; or the caller gave up. */
function isOwnRefusal({ code, details }: HoldfastError): boolean {
  return code === "ERR_ABORTED" || (code === "ERR_REFUSED" && details.proven === true)
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
