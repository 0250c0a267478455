/**
 * The grid's signing keys, one for each epoch, and its root. The root's private key is never kept here: it is made once,
 * handed over, and only signs which key the grid has from then on. Specification: docs/formats/grid-description.md.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto"
import { existsSync, readFileSync } from "node:fs"
import { rm } from "node:fs/promises"
import { join } from "node:path"
import { encodeBase32, HoldfastError, hashSmall, parseOr, toHex } from "@holdfast/core"
import { makePrivateFolder, writeSecretFile } from "@holdfast/core/node"
import { fingerprintOf, parseJson, publicKeyText, signRoot } from "@holdfast/network"
import { type GridDescription, type RootStatement, signedTextSchema } from "@holdfast/protocol"
import type { Database } from "./database.ts"

/** The grid's Ed25519 key of an epoch. */
export interface GridKey {
  readonly key: KeyObject
  /** 32 bytes, base64. */
  readonly publicKey: string
  readonly gridId: string
  readonly epoch: number
  /** The root with its newest statement; null without. */
  readonly root: NonNullable<GridDescription["root"]> | null
}

/** Makes the first key (0600) when there is none. */
export async function ensureGridKey(dir: string, database: Database): Promise<void> {
  makePrivateFolder(gridDir(dir))
  const path = keyPath(dir, 1)
  if (epochOf(database) === 1 && !existsSync(path)) await writeSecretFile(path, newKey().pem)
  if (database.get("gridId") === undefined && existsSync(path))
    database.set("gridId", gridIdOf(publicKeyText(readKey(path))))
}

/** The key of the present epoch; read again whenever another process has begun a new one. */
export function gridKeyReader(dir: string, database: Database): () => GridKey {
  let known: GridKey | undefined
  return () => {
    const [epoch, root] = [epochOf(database), rootOf(database)]
    if (known?.epoch === epoch && known.root?.statement.signature === root?.statement.signature) return known
    const key = known?.epoch === epoch ? known.key : readKey(keyPath(dir, epoch))
    known = { key, publicKey: publicKeyText(key), gridId: database.get("gridId")!, epoch, root }
    return known
  }
}

/**
 * Makes the grid's root, once, and has it vouch for the present key. Gives its private key, PEM, which is kept nowhere.
 * Throws ERR_ALREADY_EXISTS.
 */
export async function makeRoot(
  dir: string,
  database: Database,
): Promise<{ readonly rootKeyPem: string; readonly publicKey: string }> {
  if (database.get("root") !== undefined)
    throw new HoldfastError(
      "ERR_ALREADY_EXISTS",
      "This grid has a root already, whose key was handed over when it was made. There is no second one.",
    )
  await ensureGridKey(dir, database)
  const { pem, key } = newKey()
  keepRoot(database, key, statementOf(dir, database, gridKeyReader(dir, database)()))
  return { rootKeyPem: pem, publicKey: publicKeyText(key) }
}

/**
 * Begins a new epoch: a new grid key that the root vouches for, serials from 1 again. Every member that knows the root drops
 * the old key for ever. Throws ERR_BAD_FORMAT, ERR_REFUSED for another root's key, ERR_INVALID_ARGUMENT.
 */
export async function beginEpoch(
  dir: string,
  database: Database,
  options: {
    readonly rootKeyPem: string
    readonly epoch?: number | undefined
    /** Revokes what the statement is to revoke with all the rest, once the root's key is known to be right. */
    readonly revoke: () => void
  },
): Promise<{ readonly epoch: number; readonly publicKey: string }> {
  const rootKey = parseKey(options.rootKeyPem, "The root key")
  const root = rootOf(database)
  if (root?.publicKey !== publicKeyText(rootKey))
    throw new HoldfastError(
      "ERR_REFUSED",
      root
        ? "This is not the key of this grid's root."
        : "This grid has no root yet. Make one: holdfast coordinator root export",
    )
  const present = epochOf(database)
  const next = options.epoch ?? present + 1
  if (!Number.isSafeInteger(next) || next <= present)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `The epoch is ${present}; the next one is a higher number.`)
  options.revoke()
  const { key, pem } = newKey()
  await writeSecretFile(keyPath(dir, next), pem)
  const publicKey = publicKeyText(key)
  const statement = statementOf(dir, database, { epoch: next, publicKey, gridId: database.get("gridId")! })
  database.transaction(() => {
    database.set("epoch", String(next))
    keepRoot(database, rootKey, statement)
    database.unset("grid") // serials begin again
  })
  await rm(keyPath(dir, present), { force: true })
  return { epoch: next, publicKey }
}

function statementOf(
  dir: string,
  database: Database,
  { epoch, publicKey, gridId }: Pick<GridKey, "epoch" | "publicKey" | "gridId">,
): RootStatement {
  const ca = fingerprintOf(readFileSync(join(dir, "authority", "ca.pem")))
  return {
    version: 1,
    gridId,
    epoch,
    gridPublicKey: publicKey,
    caFingerprints: [toHex(ca)],
    revoked: database.revokedKeys(),
  }
}

function keepRoot(database: Database, rootKey: KeyObject, statement: RootStatement): void {
  database.set("root", JSON.stringify({ publicKey: publicKeyText(rootKey), statement: signRoot(statement, rootKey) }))
}

function rootOf(database: Database): GridKey["root"] {
  const text = database.get("root")
  if (text === undefined) return null
  const { publicKey, statement } = parseJson(text, "The stored root") as { publicKey: string; statement: unknown }
  return { publicKey, statement: parseOr(signedTextSchema, statement, "The stored root statement") }
}

function epochOf(database: Database): number {
  return Number(database.get("epoch") ?? 1)
}

function gridIdOf(publicKey: string): string {
  return encodeBase32(hashSmall("holdfast/grid-id/1", Buffer.from(publicKey, "base64")).subarray(0, 15))
}

function newKey(): { readonly key: KeyObject; readonly pem: string } {
  const key = generateKeyPairSync("ed25519").privateKey
  return { key, pem: key.export({ type: "pkcs8", format: "pem" }) as string }
}

function readKey(path: string): KeyObject {
  let pem: string
  try {
    pem = readFileSync(path, "utf8")
  } catch (cause) {
    throw new HoldfastError(
      "ERR_IO",
      `Could not read ${path}: ${(cause as NodeJS.ErrnoException).code}.`,
      {},
      { cause },
    )
  }
  return parseKey(pem, path)
}

/** The cause stays out: it may quote the key. */
function parseKey(pem: string, what: string): KeyObject {
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType === "ed25519") return key
  } catch {
    // falls through to the same answer
  }
  throw new HoldfastError("ERR_BAD_FORMAT", `${what} is not an Ed25519 private key in PEM.`)
}

function gridDir(dir: string): string {
  return join(dir, "grid")
}

/** The first key has no number, as before there were epochs. */
function keyPath(dir: string, epoch: number): string {
  return join(gridDir(dir), epoch === 1 ? "grid-key.pem" : `grid-key-${epoch}.pem`)
}
