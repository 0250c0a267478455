/**
 * The signed grid description: who the servers are and how data is spread. Clients cache it and go on without the
 * coordinator. Specification: docs/formats/grid-description.md.
 */
import { HoldfastError } from "@holdfast/core"
import { z } from "zod"
import { labelsSchema } from "./labels.ts"

/** A certificate's key: base64url of the SHA-256 of its SubjectPublicKeyInfo. */
const keyIdSchema = z.string().regex(/^[A-Za-z0-9_-]{43}$/)
/** An Ed25519 public key, base64. */
const publicKeySchema = z.string().regex(/^[A-Za-z0-9+/]{43}=$/)
/** Steps of bounded size never come near it. */
const counterSchema = z.number().int().nonnegative()

/** Text with an Ed25519 signature over it: a grid description or a root statement as it is sent and cached. */
export const signedTextSchema = z.object({
  payload: z.string().max(8 * 1024 * 1024),
  /** Base64. */
  signature: z.string().length(88),
})
export type SignedText = z.infer<typeof signedTextSchema>

/** A storage node as the grid describes it. */
const gridServerSchema = z.object({
  /** Stable member id; placement depends on it. */
  id: z.string().min(1).max(64),
  name: z.string().max(64),
  /** host:port of its TLS listener. */
  address: z.string().min(1).max(300),
  /** Relative weight for placement: capacity in bytes. */
  capacityBytes: z.number().int().nonnegative(),
  /** Version 3: the key of its certificate, null while the coordinator has not seen it. */
  key: keyIdSchema.nullable().optional(),
  /** Version 4: what it would be lost with, as the grid's operator says. */
  labels: labelsSchema.optional(),
  /** Version 4: it keeps registers and never shares. */
  witness: z.literal(true).optional(),
})

/** The newest version of a description that is read here. */
export const newestGridVersion = 4

/** Most keys that a description revokes. */
export const maxRevoked = 65_536

/** Most servers that keep registers. */
const maxVoters = 4096

/** What every member of a grid knows. */
export const gridDescriptionSchema = z.object({
  /** 2 says which keys are revoked; 3 has an epoch, the description before, voters and the keys of servers; 4 says more of servers. */
  version: z.union([z.literal(1), z.literal(2), z.literal(3), z.literal(newestGridVersion)]),
  gridId: z.string().min(1).max(64),
  name: z.string().max(64),
  /** Grows with every change. */
  serial: counterSchema,
  issuedMs: counterSchema,
  coordinator: z.string().max(300),
  /** PEM of the grid's certificate authority. */
  caPem: z.string().max(16_384),
  coding: z.object({
    k: z.number().int().min(1).max(255),
    happy: z.number().int().min(1).max(255),
    n: z.number().int().min(1).max(255),
  }),
  /** crash: n >= 2f+1 servers, f of them gone; byzantine: n >= 3f+1, f of them lying. */
  registerMode: z.enum(["crash", "byzantine"]),
  servers: z.array(gridServerSchema).max(4096),
  /** Keys that no member accepts any more: base64url of the SHA-256 of each. Never gets shorter. */
  revoked: z.array(keyIdSchema).max(maxRevoked).optional(),
  /** 1 with the grid's first key, one more with each key that its root has named since. */
  epoch: z.number().int().min(1).optional(),
  /** The grid's key of this epoch. */
  gridPublicKey: publicKeySchema.optional(),
  /** Digest of the description before; null for the first of an epoch. */
  previous: keyIdSchema.nullable().optional(),
  /** Ids of the servers that keep registers, whether or not they are still members. */
  voters: z.array(z.string().min(1).max(64)).max(maxVoters).optional(),
  /** The root that may name another key, with its newest statement; null when the grid has none. */
  root: z.object({ publicKey: publicKeySchema, statement: signedTextSchema }).nullable().optional(),
})

export type GridServer = z.infer<typeof gridServerSchema>
export type GridDescription = z.infer<typeof gridDescriptionSchema>

/** What the grid's root says with a key that is kept offline. */
export const rootStatementSchema = z.object({
  version: z.literal(1),
  gridId: z.string().min(1).max(64),
  epoch: z.number().int().min(1),
  /** The grid's key of this epoch. */
  gridPublicKey: publicKeySchema,
  /** SHA-256 of the certificates of the authorities that members trust, hexadecimal. */
  caFingerprints: z
    .array(z.string().regex(/^[0-9a-f]{64}$/))
    .min(1)
    .max(16),
  /** Keys that were revoked when it was signed. */
  revoked: z.array(keyIdSchema).max(maxRevoked),
})
export type RootStatement = z.infer<typeof rootStatementSchema>

const fieldsOfVersion2 = ["revoked"] as const
const fieldsOfVersion3 = ["epoch", "gridPublicKey", "previous", "voters", "root"] as const

/** Throws ERR_UNSUPPORTED_VERSION for a description of a version that is not known here. */
export function refuseNewerGrid(description: unknown): void {
  const { version } = z.object({ version: z.number().optional() }).catch({}).parse(description)
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
