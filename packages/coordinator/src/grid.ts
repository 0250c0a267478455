/** The grid as the coordinator describes it: rebuilt, given a new serial and signed whenever something in it changes. */
import { HoldfastError, parseOr } from "@holdfast/core"
import { digestOf, formedVoters, parseJson, type SignedGrid, signedGridSchema, signGrid } from "@holdfast/network"
import {
  type GridDescription,
  gridDescriptionSchema,
  gridVersionOf,
  type Labels,
  labelsSchema,
  votersOf,
} from "@holdfast/protocol"
import * as v from "valibot"
import type { Database } from "./database.ts"
import type { GridKey } from "./grid-key.ts"

/** What the operator decides about a grid. */
export interface GridSettings {
  readonly name: string
  readonly coordinator: string
  readonly caPem: string
  readonly coding: { readonly k: number; readonly happy: number; readonly n: number }
  readonly registerMode: "crash" | "byzantine"
}

/** Clocks that were set right go on from a date as far ahead as members take. */
const maxAheadMs = 3_600_000

/** The current signed description; if members or settings changed, a new one with the next serial, stored first. With
 * `skip` there always is a new one, that many serials further. */
export function currentGrid(
  database: Database,
  gridKey: GridKey,
  settings: GridSettings,
  nowMs: number,
  skip = 0,
): SignedGrid {
  return database.transaction(() => {
    const stored = database.get("grid")
    const signed = stored === undefined ? undefined : parseOr(signedGridSchema, parseJson(stored, what), what)
    const old = storedGrid(database)
    const servers = serversOf(database)
    const grid: GridDescription = {
      version: versionNow(database, servers),
      gridId: gridKey.gridId,
      epoch: gridKey.epoch,
      gridPublicKey: gridKey.publicKey,
      name: settings.name,
      serial: old?.serial ?? 0,
      previous: old?.previous ?? null,
      issuedMs: old?.issuedMs ?? nowMs,
      coordinator: settings.coordinator,
      caPem: settings.caPem,
      coding: { k: settings.coding.k, happy: settings.coding.happy, n: settings.coding.n },
      registerMode: settings.registerMode,
      voters: votersNow(database, old, servers, settings),
      servers,
      revoked: database.revokedKeys(),
      root: gridKey.root,
    }
    if (signed && skip === 0 && signed.payload === JSON.stringify(grid)) return signed
    const isAhead = grid.issuedMs > nowMs + maxAheadMs // of a clock that was wrong: no member took it
    const next = signGrid(
      {
        ...grid,
        serial: grid.serial + 1 + skip,
        previous: signed ? digestOf(signed) : null,
        issuedMs: isAhead ? nowMs : Math.max(nowMs, grid.issuedMs),
      },
      gridKey.key,
    )
    database.set("grid", JSON.stringify(next))
    return next
  })
}

const what = "The stored grid"

/** The version by what servers have; it never goes back, also when an epoch begins, since no member would take that. */
function versionNow(database: Database, servers: GridDescription["servers"]): 3 | 4 {
  const version = gridVersionOf(servers, database.get("gridVersion") === "4" ? 4 : 3)
  if (version === 4) database.set("gridVersion", "4")
  return version
}

/** The newest description that was signed; undefined before the first. */
export function storedGrid(database: Database): GridDescription | undefined {
  const stored = database.get("grid")
  if (stored === undefined) return undefined
  const { payload } = parseOr(signedGridSchema, parseJson(stored, what), what)
  return parseOr(gridDescriptionSchema, parseJson(payload, what), what)
}

/**
 * The servers that keep registers: all of a grid from before there were voters, else the first that announced themselves,
 * as many as the data is spread over. One that is revoked stays, as one that is gone, until the operator names others.
 */
function votersNow(
  database: Database,
  old: GridDescription | undefined,
  servers: GridDescription["servers"],
  { coding, registerMode }: GridSettings,
): string[] {
  const text = database.get("voters")
  const stored = text === undefined ? [...(old ? votersOf(old) : [])] : v.parse(votersSchema, JSON.parse(text))
  if (database.get("votersChosen") !== undefined) return stored
  const wanted = Math.max(0, formedVoters(coding.n, registerMode) - stored.length)
  const voters = [
    ...stored,
    ...servers
      .map(({ id }) => id)
      .filter((id) => !stored.includes(id))
      .slice(0, wanted),
  ]
  const next = JSON.stringify(voters)
  if (next !== text) database.set("voters", next)
  return voters
}

const votersSchema = v.array(v.string())

/** The servers that keep registers, by their ids. */
export function readVoters(database: Database): string[] {
  return v.parse(votersSchema, JSON.parse(database.get("voters") ?? "[]"))
}

/** Names the servers that keep registers, for good. Throws ERR_INVALID_ARGUMENT, ERR_NOT_FOUND. */
export function writeVoters(database: Database, wanted: readonly string[]): string[] {
  const servers = serversOf(database)
  const ids = wanted.map((text) => {
    const found = servers.filter(({ id, name }) => id === text || name === text)
    if (found.length === 1) return found[0]!.id
    throw new HoldfastError(
      found.length === 0 ? "ERR_NOT_FOUND" : "ERR_INVALID_ARGUMENT",
      `${found.length === 0 ? "No node that announced itself" : "More than one node"} is called "${text}". \`holdfast coordinator members\` lists ids.`,
    )
  })
  if (ids.length === 0 || new Set(ids).size < ids.length)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "Name each node that is to keep registers, once.")
  database.set("voters", JSON.stringify(ids))
  database.set("votersChosen", "yes") // from now on none is added by itself
  return ids
}

/** The nodes that announced themselves. */
function serversOf(database: Database): GridDescription["servers"] {
  return database.members().flatMap(({ id, role, name, address, capacityBytes, labels, witness }) => {
    if (role !== "node" || address === null) return []
    const server = { id, name, address, capacityBytes: capacityBytes ?? 0, key: database.keyOf(id) ?? null }
    return [
      { ...server, ...(labels !== null && { labels: labelsIn(labels) }), ...(witness && { witness: true as const }) },
    ]
  })
}

/** Labels as they are stored. Throws ERR_BAD_FORMAT. */
export function labelsIn(text: string): Labels {
  return parseOr(labelsSchema, parseJson(text, "The stored labels"), "The stored labels")
}

/** Labels as they are stored: their kinds in one order, so that the same labels are the same description. */
export function labelsText(labels: Labels): string {
  const { provider, site, rack } = labels
  return JSON.stringify({ provider, site, rack })
}
