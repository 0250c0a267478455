/** The grid's root and its servers of registers as their operator handles them, on the coordinator's own machine. */
import { rm } from "node:fs/promises"
import { join } from "node:path"
import { keyIdOf, loadIdentity } from "@holdfast/network"
import { Database } from "./database.ts"
import { readVoters, writeVoters } from "./grid.ts"
import { beginEpoch, makeRoot } from "./grid-key.ts"

/** Makes the grid's root, once; its private key (PEM) is given and not kept. Throws ERR_NOT_FOUND, ERR_ALREADY_EXISTS. */
export async function exportRoot({
  dir,
}: {
  readonly dir: string
}): Promise<{ readonly rootKeyPem: string; readonly publicKey: string }> {
  return withDatabase(dir, (database) => makeRoot(dir, database))
}

/**
 * The way back after a compromise: a new grid key that the root vouches for, and a new key for the coordinator itself, whose
 * old one is revoked. The coordinator has to be started again. Throws ERR_NOT_FOUND, ERR_REFUSED, ERR_BAD_FORMAT.
 */
export async function signRootEpoch(options: {
  readonly dir: string
  /** PEM of the root's private key. */
  readonly rootKeyPem: string
  /** Default: one more than this coordinator knows. */
  readonly epoch?: number | undefined
  readonly nowMs?: number
}): Promise<{ readonly epoch: number; readonly publicKey: string }> {
  const { dir, nowMs = Date.now() } = options
  return withDatabase(dir, async (database) => {
    const identityDir = join(dir, "identity")
    const identity = await loadIdentity(identityDir).catch(() => undefined)
    const revoke = () => {
      if (identity) database.revokeKey(keyIdOf(identity.certPem), identity.memberId, nowMs)
    }
    const begun = await beginEpoch(dir, database, { ...options, revoke })
    await rm(identityDir, { recursive: true, force: true }) // made again at the next start
    return begun
  })
}

/** Names the servers that keep registers, or tells which do. Throws ERR_NOT_FOUND, ERR_INVALID_ARGUMENT. */
export async function chooseVoters({
  dir,
  voters,
}: {
  readonly dir: string
  readonly voters?: readonly string[]
}): Promise<string[]> {
  return withDatabase(dir, async (database) => (voters ? writeVoters(database, voters) : readVoters(database)))
}

async function withDatabase<T>(dir: string, work: (database: Database) => Promise<T>): Promise<T> {
  const database = new Database(dir, { mustExist: true })
  try {
    return await work(database)
  } finally {
    database.close()
  }
}
