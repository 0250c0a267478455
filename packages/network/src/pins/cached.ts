/** The description that a member goes by, from its own disk. */
import { HoldfastError, parseOr } from "@holdfast/core"
import type { GridDescription } from "@holdfast/protocol"
import { digestOf, openGrid, openRoot, parseJson, peekGrid, type SignedGrid, signedGridSchema } from "../grid.ts"
import { loadMemberRecord, type MemberRecord } from "../record.ts"
import { sameCertificate } from "../tls/authority.ts"
import { readIdentityFile } from "../tls/identity.ts"
import type { Offered } from "./judge.ts"
import { firstPins, type Pinned, type Pins, readPins } from "./pins.ts"

/** What a member goes by. */
export interface CachedGrid {
  readonly record: MemberRecord
  readonly grid: GridDescription
  readonly pinned: Pinned
}

/** The description with its pins. A member of before pins is held to what it has cached. Throws ERR_NOT_FOUND, ERR_CORRUPT. */
export async function loadCached(dir: string): Promise<CachedGrid> {
  const [record, pinned, caPem] = await Promise.all([
    loadMemberRecord(dir),
    readPins(dir),
    readIdentityFile(dir, "ca.pem"),
  ])
  if (pinned) {
    const { grid } = openOffered(pinned.signed, { ...pinned.pins, gridId: record.gridId }, caPem)
    return { record, grid, pinned }
  }
  const signed = parseOr(
    signedGridSchema,
    parseJson(await readIdentityFile(dir, "grid.json"), "grid.json"),
    "grid.json",
  )
  const grid = openGrid(signed, record.gridPublicKey)
  checkGrid(grid, record.gridId, caPem)
  return { record, grid, pinned: { pins: firstPins(signed, grid, record.gridPublicKey), signed } }
}

/** The cached description, its signature checked again. Throws ERR_NOT_FOUND, ERR_CORRUPT, ERR_BAD_FORMAT. */
export async function loadGrid(dir: string): Promise<GridDescription> {
  return (await loadCached(dir)).grid
}

/** What a member holds its grid to. Throws ERR_NOT_FOUND, ERR_CORRUPT, ERR_BAD_FORMAT. */
export async function loadPins(dir: string): Promise<Pins> {
  return (await loadCached(dir)).pinned.pins
}

/**
 * A description that was offered, its signature checked: by the pinned key, by a key of a later epoch that the pinned root
 * names, or by the key that it names itself, which proves nothing. Throws ERR_CORRUPT, ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION.
 */
export function openOffered(
  signed: SignedGrid,
  { gridId, epoch, gridPublicKey, rootPublicKey }: Pins,
  caPem: string,
): Offered {
  const { root, gridPublicKey: ownKey, epoch: ownEpoch = 1 } = peekGrid(signed)
  const isPinned = ownKey === undefined || ownKey === gridPublicKey
  const grid = openGrid(signed, isPinned ? gridPublicKey : ownKey)
  checkGrid(grid, gridId, caPem)
  const digest = digestOf(signed)
  if (isPinned) return { grid, digest, signedBy: "pinned" }
  if (!root || rootPublicKey === null || root.publicKey !== rootPublicKey) return { grid, digest, signedBy: "itself" }
  const statement = openRoot(root.statement, rootPublicKey)
  const isNamed = statement.gridId === gridId && statement.epoch === ownEpoch && statement.gridPublicKey === ownKey
  const signedBy = isNamed && statement.epoch > epoch ? "root" : "itself"
  return { grid, digest, signedBy, revokedByRoot: statement.revoked }
}

function checkGrid(grid: GridDescription, gridId: string, caPem: string): void {
  if (grid.gridId === gridId && sameCertificate(grid.caPem, caPem)) return
  throw new HoldfastError("ERR_CORRUPT", "The grid description is of another grid. Nothing of it is used.")
}
