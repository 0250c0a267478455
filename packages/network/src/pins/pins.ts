/**
 * What a member holds its grid to: the key that signs, the last description it took, how data is spread, who the servers
 * are, whose keys are revoked. Whatever weakens it needs the user's word. Specification: docs/formats/grid-description.md.
 */
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { HoldfastError, integer, parseOr, record, text } from "@holdfast/core"
import { codeOf, ioError, writeSecretFile } from "@holdfast/core/node"
import { type GridDescription, gridDescriptionSchema, holdersOf, votersOf } from "@holdfast/protocol"
import * as v from "valibot"
import { digestOf, parseJson, type SignedGrid, signedGridSchema } from "../grid.ts"

const { coding, registerMode, revoked } = gridDescriptionSchema.entries

const pinsSchema = v.object({
  version: v.literal(1),
  gridId: text(64, 1),
  epoch: integer(1),
  /** Ed25519, base64. */
  gridPublicKey: text(44, 44),
  /** The root that may name another grid key; null until the grid has introduced one. */
  rootPublicKey: v.nullable(text(44, 44)),
  /** The last description that was taken. */
  descriptionVersion: integer(1),
  serial: integer(),
  issuedMs: integer(),
  digest: text(43, 43),
  coding,
  registerMode,
  /** Servers that keep registers; null while the grid has too few servers to store anything. */
  voters: v.nullable(v.array(v.string())),
  /** Servers that were there when the user last said yes, with the keys of their certificates. */
  servers: record(v.nullable(v.string())),
  /** Those of them that were witnesses then. */
  witnesses: v.optional(v.array(v.string()), () => []),
  /** Every key that was ever told to be revoked. */
  revoked: revoked.wrapped,
  /** Digest of the changes that the user refused. */
  refused: v.nullable(v.string()),
})

/** What a member holds its grid to. */
export type Pins = v.InferOutput<typeof pinsSchema>

/** Pins with the description that they are of: one file, so that neither is ever without the other. */
const pinnedSchema = v.object({ pins: pinsSchema, signed: signedGridSchema })
export type Pinned = v.InferOutput<typeof pinnedSchema>

const fileName = "pins.json"

/** The pins in an identity's directory; undefined without. Throws ERR_BAD_FORMAT, ERR_CORRUPT, ERR_IO. */
export async function readPins(dir: string): Promise<Pinned | undefined> {
  const path = join(dir, fileName)
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    if (codeOf(cause) === "ENOENT") return undefined
    throw ioError(`Could not read ${path}`, cause)
  })
  if (text === undefined) return undefined
  const pinned = parseOr(pinnedSchema, parseJson(text, path), path)
  if (digestOf(pinned.signed) === pinned.pins.digest) return pinned
  throw new HoldfastError(
    "ERR_CORRUPT",
    `${path} holds another description than the one that is pinned. Nothing of it is used.`,
  )
}

/** Writes pins. What another command took or heard to be revoked meanwhile is not undone. */
export async function writePins(
  dir: string,
  next: Pinned,
  { back = false }: { readonly back?: boolean } = {},
): Promise<Pinned> {
  const before = await readPins(dir)
  const isBehind = before !== undefined && !back && isNewer(before.pins, next.pins)
  const { pins, signed } = isBehind ? before : next
  const revoked = union(next.pins.revoked, before?.pins.revoked ?? [])
  const merged = { pins: { ...pins, revoked }, signed }
  await writeSecretFile(join(dir, fileName), `${JSON.stringify(merged)}\n`)
  return merged
}

function isNewer(a: Pins, b: Pins): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.serial > b.serial)
}

/** The first pins: what the grid is now. */
export function firstPins(signed: SignedGrid, grid: GridDescription, gridPublicKey: string): Pins {
  const nothing = { rootPublicKey: null, voters: null, servers: {}, witnesses: [], revoked: [], refused: null }
  return confirmed(
    { version: 1, gridId: grid.gridId, gridPublicKey, ...nothing, ...pointOf(signed, grid) },
    signed,
    grid,
  )
}

/** The pins after a description that the user confirmed, or that is the first. */
export function confirmed(pins: Pins, signed: SignedGrid, grid: GridDescription): Pins {
  const servers = Object.fromEntries(grid.servers.map(({ id, key }) => [id, key ?? null]))
  return {
    ...pins,
    ...pointOf(signed, grid),
    gridPublicKey: grid.gridPublicKey ?? pins.gridPublicKey,
    rootPublicKey: grid.root?.publicKey ?? pins.rootPublicKey,
    voters: canStore(grid) ? [...votersOf(grid)] : null,
    servers,
    witnesses: witnessesAmong(grid),
    revoked: union(pins.revoked, grid.revoked ?? []),
    refused: null,
  }
}

/** The pins after a description that nobody had to be asked about. */
export function taken(pins: Pins, signed: SignedGrid, grid: GridDescription): Pins {
  const next = confirmed(pins, signed, grid)
  if (pins.voters === null) return next // nothing was stored yet, so there is nothing to harm
  const voters = votersOf(grid)
  const isConfirmed = (id: string) => Object.hasOwn(pins.servers, id) || voters.includes(id)
  const there = Object.entries(next.servers).filter(([id]) => isConfirmed(id))
  // A server that left for a while comes back as the one that it was.
  const servers = { ...withoutRevoked(pins.servers, next.revoked), ...Object.fromEntries(there) }
  const isNew = (id: string) => Object.hasOwn(servers, id) && !Object.hasOwn(pins.servers, id)
  const witnesses = pins.witnesses.filter((id) => Object.hasOwn(servers, id))
  return { ...next, voters: [...voters], servers, witnesses: union(witnesses, witnessesAmong(grid).filter(isNew)) }
}

function witnessesAmong({ servers }: GridDescription): string[] {
  return servers.flatMap(({ id, witness }) => (witness ? [id] : []))
}

/** True once a put can succeed. */
export function canStore(grid: GridDescription): boolean {
  return holdersOf(grid).length >= grid.coding.happy
}

/** The keys of both lists, in the order in which they came. */
export function union(before: readonly string[], more: readonly string[]): string[] {
  return [...new Set([...before, ...more])]
}

function pointOf(signed: SignedGrid, grid: GridDescription) {
  const { version, serial, issuedMs, coding, registerMode } = grid
  return {
    descriptionVersion: version,
    epoch: grid.epoch ?? 1,
    serial,
    issuedMs,
    digest: digestOf(signed),
    coding,
    registerMode,
  }
}

function withoutRevoked(servers: Pins["servers"], revokedKeys: readonly string[]): Pins["servers"] {
  const isRevoked = new Set(revokedKeys)
  return Object.fromEntries(Object.entries(servers).filter(([, key]) => key === null || !isRevoked.has(key)))
}
