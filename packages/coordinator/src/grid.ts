/** The grid as the coordinator describes it: rebuilt, given a new serial and signed whenever something in it changes. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto"
import { mkdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { encodeBase32, HoldfastError, hashSmall } from "@holdfast/core"
import { parseJson, parseOr, type SignedGrid, signedGridSchema, signGrid, writeSecretFile } from "@holdfast/network"
import { type GridDescription, gridDescriptionSchema } from "@holdfast/protocol"
import type { Database } from "./database.ts"

/** What the operator decides about a grid. */
export interface GridSettings {
  readonly name: string
  readonly coordinator: string
  readonly caPem: string
  readonly coding: { readonly k: number; readonly happy: number; readonly n: number }
  readonly registerMode: "crash" | "byzantine"
}

/** The grid's Ed25519 key. */
export interface GridKey {
  readonly key: KeyObject
  /** 32 bytes, base64. */
  readonly publicKey: string
  readonly gridId: string
}

/** Opens the signing key in `dir`, making it (0600) the first time. */
export async function openGridKey(dir: string): Promise<GridKey> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const path = join(dir, "grid-key.pem")
  let pem = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined
    throw new HoldfastError("ERR_IO", `Could not read ${path}: ${error.code}.`, {}, { cause: error })
  })
  if (pem === undefined) {
    pem = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }) as string
    await writeSecretFile(path, pem)
  }
  const key = createPrivateKey(pem)
  const raw = Buffer.from(createPublicKey(key).export({ format: "jwk" }).x!, "base64url")
  const gridId = encodeBase32(hashSmall("holdfast/grid-id/1", raw).subarray(0, 15))
  return { key, publicKey: raw.toString("base64"), gridId }
}

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
    const signed = stored
      ? parseOr(signedGridSchema, parseJson(stored, "The stored grid"), "The stored grid")
      : undefined
    const old = signed
      ? parseOr(gridDescriptionSchema, parseJson(signed.payload, "The stored grid"), "The stored grid")
      : undefined
    const grid: GridDescription = {
      version: 2,
      gridId: gridKey.gridId,
      name: settings.name,
      serial: old?.serial ?? 0,
      issuedMs: old?.issuedMs ?? nowMs,
      coordinator: settings.coordinator,
      caPem: settings.caPem,
      coding: { k: settings.coding.k, happy: settings.coding.happy, n: settings.coding.n },
      registerMode: settings.registerMode,
      servers: serversOf(database),
      revoked: database.revokedKeys(),
    }
    if (signed && skip === 0 && signed.payload === JSON.stringify(grid)) return signed
    const next = signGrid({ ...grid, serial: grid.serial + 1 + skip, issuedMs: nowMs }, gridKey.key)
    database.set("grid", JSON.stringify(next))
    return next
  })
}

/** The nodes that announced themselves. */
function serversOf(database: Database): GridDescription["servers"] {
  return database.members().flatMap(({ id, role, name, address, capacityBytes }) => {
    if (role !== "node" || address === null) return []
    return [{ id, name, address, capacityBytes: capacityBytes ?? 0 }]
  })
}
