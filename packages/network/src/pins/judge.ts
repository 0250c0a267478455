/**
 * Holds a grid description that was offered against the pins: which of its steps are out of bounds, and which of its changes
 * need the user's word. Specification: docs/formats/grid-description.md, "What a member takes".
 */
import { isoTime, ownValue } from "@holdfast/core"
import { faultsOf, type GridDescription, holdersOf, votersOf } from "@holdfast/protocol"
import { canStore, type Pins } from "./pins.ts"

/** A change that needs the user's word. */
export interface Change {
  readonly what: "coding" | "mode" | "voters" | "server-key" | "witness" | "grid-key" | "root" | "servers-gone"
  /** For people. */
  readonly text: string
}

/** What is wrong with a description, and what it would change. */
export interface Judgement {
  /** Steps out of bounds: the description is not taken, and asked for again. */
  readonly violations: readonly string[]
  readonly changes: readonly Change[]
}

/** A description whose signature was checked. */
export interface Offered {
  readonly grid: GridDescription
  readonly digest: string
  /** Signed by the pinned key, by one that the pinned root names, or by one that nobody vouches for. */
  readonly signedBy: "pinned" | "root" | "itself"
  /** Keys that the root's statement revokes. */
  readonly revokedByRoot?: readonly string[]
}

/** A coordinator that was restored from a copy goes on half as far ahead. */
export const maxSerialStep = 2 ** 16
const maxEpochStep = 16
const maxAheadMs = 3_600_000

/** Compares an offered description with the pins. */
export function judgeGrid(pins: Pins, offered: Offered, nowMs: number): Judgement {
  if (offered.digest === pins.digest) return { violations: [], changes: [] }
  return { violations: [...violationsOf(pins, offered, nowMs)], changes: [...changesOf(pins, offered)] }
}

/** Servers beside the confirmed ones that may take shares: as many as the coding survives when all of them were invented. */
export function trialCount(
  { coding, registerMode }: Pick<GridDescription, "coding" | "registerMode">,
  voters: number,
): number {
  return Math.max(0, Math.min(faultsOf(voters, registerMode), coding.happy - coding.k))
}

function* violationsOf(
  pins: Pins,
  { grid, digest, signedBy, revokedByRoot = [] }: Offered,
  nowMs: number,
): Generator<string> {
  const { version, serial, issuedMs, epoch = 1 } = grid
  const date = isoTime
  if (version < pins.descriptionVersion)
    yield `it has version ${version}, older than the ${pins.descriptionVersion} seen before`
  if (epoch > pins.epoch + maxEpochStep) yield `its epoch ${epoch} is more than ${maxEpochStep} after ${pins.epoch}`
  if (signedBy === "pinned") {
    if (epoch !== pins.epoch) yield `its epoch is ${epoch}, but its key is of epoch ${pins.epoch}`
    if (serial < pins.serial)
      yield `its serial ${serial} is lower than the ${pins.serial} seen before: it was restored from an old copy, or is not honest`
    if (serial === pins.serial && digest !== pins.digest) yield `there is another description with serial ${serial}`
    if (serial > pins.serial + maxSerialStep)
      yield `its serial ${serial} is more than ${maxSerialStep} after ${pins.serial}`
    if (serial === pins.serial + 1 && typeof grid.previous === "string" && grid.previous !== pins.digest)
      yield `it follows another description ${pins.serial} than the one seen before`
  } else {
    if (epoch <= pins.epoch) yield `its key is another, but its epoch ${epoch} is not above ${pins.epoch}`
    if (serial > maxSerialStep) yield `the serial ${serial} of a new epoch is above ${maxSerialStep}`
  }
  if (issuedMs > nowMs + maxAheadMs)
    yield `it is dated ${date(issuedMs)}, more than an hour ahead of this machine's clock`
  if (issuedMs < pins.issuedMs) yield `it is dated ${date(issuedMs)}, before the one that it follows`
  const revoked = new Set(grid.revoked)
  const lost = [...pins.revoked, ...revokedByRoot].filter((key) => !revoked.has(key)).length
  if (lost > 0) yield `it does not list ${lost} of the keys that were revoked before`
}

function* changesOf(pins: Pins, { grid, signedBy }: Offered): Generator<Change> {
  if (signedBy === "itself")
    yield { what: "grid-key", text: "the grid has another key, which no root that this profile knows vouches for" }
  if (pins.voters === null) return // nothing was stored yet, so there is nothing to weaken
  yield* codingChanges(pins, grid)
  yield* voterChanges(pins, grid)
  yield* serverChanges(pins, grid)
  const root = grid.root?.publicKey
  if (root !== undefined && root !== pins.rootPublicKey)
    yield {
      what: "root",
      text: `the grid ${pins.rootPublicKey === null ? "introduces a root, which" : "has another root, which"} can name other grid keys: ${root}`,
    }
}

function* codingChanges(pins: Pins, { coding, registerMode }: GridDescription): Generator<Change> {
  const text = ({ k, happy, n }: Pins["coding"]) => `${k}/${happy}/${n}`
  const { k, happy, n } = coding
  const was = pins.coding
  const isWeaker = k < was.k || happy < was.happy || n < was.n || n * was.k < was.n * k
  if (isWeaker) yield { what: "coding", text: `the coding becomes ${text(coding)} instead of ${text(was)} (k/happy/n)` }
  if (registerMode === "crash" && pins.registerMode === "byzantine")
    yield {
      what: "mode",
      text: "servers that lie are not survived any more: registers go from byzantine to crash mode",
    }
}

function* voterChanges(pins: Pins, grid: GridDescription): Generator<Change> {
  const before = pins.voters ?? []
  const after = votersOf(grid)
  if (isSame(before, after) || isForming(pins, after)) return
  const added = after.filter((id) => !before.includes(id))
  const gone = before.filter((id) => !after.includes(id))
  const list = (ids: readonly string[]) => (ids.length > 0 ? ids.map((id) => nameOf(grid, id)).join(", ") : "none")
  yield {
    what: "voters",
    text: `the servers that keep the roots of trees change: added ${list(added)}; gone ${list(gone)}; ${after.length} in all`,
  }
}

/**
 * A grid with fewer servers than it spreads data over still grows, as long as each quorum of the larger set meets each
 * of the smaller one.
 */
function isForming({ voters, coding, registerMode }: Pins, after: readonly string[]): boolean {
  const before = voters ?? []
  if (after.length > formedVoters(coding.n, registerMode) || !before.every((id) => after.includes(id))) return false
  const quorum = (count: number) => count - faultsOf(count, registerMode)
  const liars = registerMode === "byzantine" ? faultsOf(after.length, registerMode) : 0
  return quorum(before.length) + quorum(after.length) - after.length > liars
}

/** So many servers keep registers before the others only keep shares. */
export function formedVoters(n: number, mode: GridDescription["registerMode"]): number {
  return Math.max(n, mode === "byzantine" ? 4 : 3)
}

function* serverChanges(pins: Pins, grid: GridDescription): Generator<Change> {
  for (const { id, key } of grid.servers) {
    const pinned = ownValue(pins.servers, id)
    if (typeof pinned === "string" && key !== pinned && grid.version >= 3)
      yield { what: "server-key", text: `the server ${nameOf(grid, id)} has another certificate key` }
  }
  for (const { id, witness } of grid.servers)
    if (!witness && pins.witnesses.includes(id))
      yield { what: "witness", text: `the server ${nameOf(grid, id)}, which you know as a witness, is to keep shares` }
  const there = new Set(grid.servers.map(({ id }) => id))
  const holders = holdersOf(grid)
  const confirmed = holders.filter(({ id }) => Object.hasOwn(pins.servers, id)).length
  const voters = votersOf(grid)
  const usable = confirmed + Math.min(trialCount(grid, voters.length), holders.length - confirmed)
  const isFitting = canStore(grid) && usable >= grid.coding.happy
  const present = voters.filter((id) => there.has(id)).length
  const isQuorum = present >= voters.length - faultsOf(voters.length, grid.registerMode)
  if (!isFitting || !isQuorum)
    yield {
      what: "servers-gone",
      text: `of the servers that you know ${confirmed} are left, ${present} of ${voters.length} that keep roots: too few for the coding ${grid.coding.k}/${grid.coding.happy}/${grid.coding.n}`,
    }
}

function nameOf(grid: GridDescription, id: string): string {
  const name = grid.servers.find((server) => server.id === id)?.name
  return name ? `${shown(name)} (${id})` : id
}

/** A name as it may stand in a message: whoever chose it does not drive the reader's terminal. */
function shown(name: string): string {
  return name.replace(/[\p{Cc}\p{Cf}]/gu, "?")
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((id) => b.includes(id))
}
