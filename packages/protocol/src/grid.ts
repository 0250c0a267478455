/**
 * The signed grid description: who the servers are and how data is spread. Clients cache it and go on without the
 * coordinator. Specification: docs/formats/grid-description.md.
 */
import { HoldfastError, integer, list, matching, statedVersion, text } from "@holdfast/core"
import * as v from "valibot"
import { labelsSchema } from "./labels.ts"

/** A certificate's key: base64url of the SHA-256 of its SubjectPublicKeyInfo. */
const keyIdSchema = matching(/^[A-Za-z0-9_-]{43}$/)
/** An Ed25519 public key, base64. */
const publicKeySchema = matching(/^[A-Za-z0-9+/]{43}=$/)
/** Steps of bounded size never come near it. */
const counterSchema = integer()

/** Text with an Ed25519 signature over it: a grid description or a root statement as it is sent and cached. */
export const signedTextSchema = v.object({
  payload: text(8 * 1024 * 1024),
  /** Base64. */
  signature: text(88, 88),
})
export type SignedText = v.InferOutput<typeof signedTextSchema>

/** A storage node as the grid describes it. */
const gridServerSchema = v.object({
  /** Stable member id; placement depends on it. */
  id: text(64, 1),
  name: text(64),
  /** host:port of its TLS listener. */
  address: text(300, 1),
  /** Relative weight for placement: capacity in bytes. */
  capacityBytes: integer(),
  /** Version 3: the key of its certificate, null while the coordinator has not seen it. */
  key: v.optional(v.nullable(keyIdSchema)),
  /** Version 4: what it would be lost with, as the grid's operator says. */
  labels: v.optional(labelsSchema),
  /** Version 4: it keeps registers and never shares. */
  witness: v.optional(v.literal(true)),
})

/** The newest version of a description that is read here. */
export const newestGridVersion = 4

/** Most keys that a description revokes. */
export const maxRevoked = 65_536

/** Most servers that keep registers. */
const maxVoters = 4096

/** What every member of a grid knows. */
export const gridDescriptionSchema = v.object({
  /** 2 says which keys are revoked; 3 has an epoch, the description before, voters and the keys of servers; 4 says more of servers. */
  version: v.union([v.literal(1), v.literal(2), v.literal(3), v.literal(newestGridVersion)]),
  gridId: text(64, 1),
  name: text(64),
  /** Grows with every change. */
  serial: counterSchema,
  issuedMs: counterSchema,
  coordinator: text(300),
  /** PEM of the grid's certificate authority. */
  caPem: text(16_384),
  coding: v.object({
    k: integer(1, 255),
    happy: integer(1, 255),
    n: integer(1, 255),
  }),
  /** crash: n >= 2f+1 servers, f of them gone; byzantine: n >= 3f+1, f of them lying. */
  registerMode: v.picklist(["crash", "byzantine"]),
  servers: list(gridServerSchema, 4096),
  /** Keys that no member accepts any more: base64url of the SHA-256 of each. Never gets shorter. */
  revoked: v.optional(list(keyIdSchema, maxRevoked)),
  /** 1 with the grid's first key, one more with each key that its root has named since. */
  epoch: v.optional(integer(1)),
  /** The grid's key of this epoch. */
  gridPublicKey: v.optional(publicKeySchema),
  /** Digest of the description before; null for the first of an epoch. */
  previous: v.optional(v.nullable(keyIdSchema)),
  /** Ids of the servers that keep registers, whether or not they are still members. */
  voters: v.optional(list(text(64, 1), maxVoters)),
  /** The root that may name another key, with its newest statement; null when the grid has none. */
  root: v.optional(v.nullable(v.object({ publicKey: publicKeySchema, statement: signedTextSchema }))),
})

export type GridServer = v.InferOutput<typeof gridServerSchema>
export type GridDescription = v.InferOutput<typeof gridDescriptionSchema>

/** What the grid's root says with a key that is kept offline. */
export const rootStatementSchema = v.object({
  version: v.literal(1),
  gridId: text(64, 1),
  epoch: integer(1),
  /** The grid's key of this epoch. */
  gridPublicKey: publicKeySchema,
  /** SHA-256 of the certificates of the authorities that members trust, hexadecimal. */
  caFingerprints: list(matching(/^[0-9a-f]{64}$/), 16, 1),
  /** Keys that were revoked when it was signed. */
  revoked: list(keyIdSchema, maxRevoked),
})
export type RootStatement = v.InferOutput<typeof rootStatementSchema>

const fieldsOfVersion2 = ["revoked"] as const
const fieldsOfVersion3 = ["epoch", "gridPublicKey", "previous", "voters", "root"] as const

/** Throws ERR_UNSUPPORTED_VERSION for a description of a version that is not known here. */
export function refuseNewerGrid(description: unknown): void {
  const version = statedVersion(description)
  if (version === undefined || version <= newestGridVersion) return
  throw new HoldfastError(
    "ERR_UNSUPPORTED_VERSION",
    `A grid description of version ${version} needs a newer Holdfast.`,
    {
      version,
    },
  )
}

/** True when a description has the fields of its version and no others. */
export function hasFieldsOfItsVersion(grid: GridDescription): boolean {
  const has = (field: keyof GridDescription) => grid[field] !== undefined
  const isThird = grid.version >= 3
  return (
    fieldsOfVersion2.every((field) => has(field) === grid.version >= 2) &&
    fieldsOfVersion3.every((field) => has(field) === isThird) &&
    grid.servers.every(({ key }) => (key !== undefined) === isThird) &&
    (grid.version >= 4 || !grid.servers.some(saysMore))
  )
}

/** Whether a server has what descriptions before version 4 do not know. */
function saysMore({ labels, witness }: Pick<GridServer, "labels" | "witness">): boolean {
  return labels !== undefined || witness !== undefined
}

/**
 * The version of a description of these servers after one of version `before`: 4 where one of them has labels or is a witness, so that
 * members of before it read what they can, and never lower than before, which no member would take.
 */
export function gridVersionOf(servers: readonly GridServer[], before: GridDescription["version"] = 3): 3 | 4 {
  return before === 4 || servers.some(saysMore) ? 4 : 3
}

/** The servers that keep shares: all but witnesses. */
export function holdersOf({ servers }: Pick<GridDescription, "servers">): readonly GridServer[] {
  return servers.filter(({ witness }) => !witness)
}

/** Ids of the servers that keep registers: before version 3 all of them. */
export function votersOf(grid: GridDescription): readonly string[] {
  return grid.voters ?? grid.servers.map(({ id }) => id)
}

/** So many of `voters` may be gone (crash) or lying (byzantine). */
export function faultsOf(voters: number, mode: GridDescription["registerMode"]): number {
  return Math.max(0, Math.floor((voters - 1) / (mode === "crash" ? 2 : 3)))
}
