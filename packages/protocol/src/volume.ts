/**
 * The description of a volume: which places together hold it, and how data is spread over them. It names where keys are
 * but holds none. Specification: docs/formats/volume.md.
 */
import { HoldfastError } from "@holdfast/core"
import { z } from "zod"
import { labelsSchema } from "./labels.ts"

const nameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
const idSchema = z
  .string()
  .min(1)
  .max(400)
  .regex(/^[\x21-\x7e]+$/)

/** Where requests go, and nothing else: no name and no password, which would be sent and shown. */
const endpointSchema = z
  .string()
  .max(300)
  .regex(/^https?:\/\/[A-Za-z0-9._:[\]-]+(?:\/[A-Za-z0-9._~%/-]*)?$/)

/** What a place of any kind may have in version 3. */
const placeFields = {
  /** What it would be lost with. */
  labels: labelsSchema.optional(),
  /** It keeps registers and never shares. */
  witness: z.literal(true).optional(),
}

/** A bucket of an S3-compatible service. */
const bucketSchema = z.strictObject({
  kind: z.literal("s3"),
  /** Stable name: placement depends on it. */
  id: idSchema,
  bucket: z.string().max(63),
  /** Empty, or ends in a slash. */
  prefix: z.string().max(1024),
  endpoint: endpointSchema.optional(),
  /** Part of the host's name where there is no endpoint. */
  region: z
    .string()
    .max(64)
    .regex(/^[\w.-]*$/),
  pathStyle: z.boolean(),
  /** Name of a profile in the credentials file. */
  profile: z.string().max(128).optional(),
  /** Path of the credentials file; AWS's usual places when absent. */
  credentials: z.string().max(4096).optional(),
  /** Whether the service refuses to replace an object when asked to. */
  conditionalWrites: z.boolean(),
  /** Its lists lag behind what was written; absent where they do not. */
  listing: z.literal("delayed").optional(),
  ...placeFields,
})
/** A directory of this machine, such as a disk or a network share. */
const directorySchema = z.strictObject({
  kind: z.literal("directory"),
  id: idSchema,
  path: z.string().min(1).max(4096),
  ...placeFields,
})
/** A storage node of the profile's grid. */
const nodeSchema = z.strictObject({
  kind: z.literal("node"),
  id: idSchema,
  name: z.string().max(64),
  ...placeFields,
})

const backendSchema = z.discriminatedUnion("kind", [bucketSchema, directorySchema, nodeSchema])

/** Names of statements at places have room for as many. */
const maxEpoch = 999_999

const schema = z.strictObject({
  /** 2 has an epoch, the description before and the volume's key; 3 besides says more of a place. */
  version: z.union([z.literal(1), z.literal(2), z.literal(3)]),
  /** Random: tells this volume from every other. 32 hexadecimal digits. */
  id: z.string().regex(/^[0-9a-f]{32}$/),
  name: nameSchema,
  coding: z.strictObject({
    k: z.number().int().min(1).max(255),
    happy: z.number().int().min(1).max(255),
    n: z.number().int().min(1).max(255),
  }),
  /** crash: n >= 2f+1 places, f of them gone; byzantine: n >= 3f+1, f of them lying. */
  registerMode: z.enum(["crash", "byzantine"]),
  backends: z.array(backendSchema).min(1).max(255),
  /** From version 2 on: 1, and one more each time the volume moves to other places. */
  epoch: z.number().int().min(1).max(maxEpoch).optional(),
  /** From version 2 on: digest of the description before; null for the first with a key. */
  previous: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable()
    .optional(),
  /** From version 2 on: the Ed25519 key that says where the volume moves, hexadecimal. */
  publicKey: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
})

export type VolumeBackend = z.infer<typeof backendSchema>
export type VolumeDescription = z.infer<typeof schema>

/** Takes a description from outside. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION. */
export function parseVolume(value: unknown): VolumeDescription {
  const { version } = z.object({ version: z.number().optional() }).catch({}).parse(value)
  if (version !== undefined && version > 3)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `A volume of version ${version} needs a newer Holdfast.`, {
      version,
    })
  const result = schema.safeParse(value)
  if (!result.success) {
    const { path = [], message = "" } = result.error.issues[0] ?? {}
    throw bad(`${path.join(".") || "it"}: ${message}`)
  }
  const volume = result.data
  const { coding, backends } = volume
  const later = [volume.epoch, volume.previous, volume.publicKey]
  const isNewer = volume.version < 3 && backends.some(saysMore)
  if (isNewer || !later.every((field) => (field !== undefined) === volume.version >= 2))
    throw bad("its fields are not those of its version")
  if (!(coding.k <= coding.happy && coding.happy <= coding.n)) throw bad("coding needs k <= happy <= n")
  const holders = backends.filter(({ witness }) => !witness).length
  if (coding.n > holders) throw bad(`${coding.n} shares need as many places that keep shares, but it has ${holders}`)
  if (new Set(backends.map(({ id }) => id)).size < backends.length) throw bad("a place is named twice")
  if (volume.registerMode === "byzantine" && backends.length < 4)
    throw bad("byzantine mode needs at least 4 places: with fewer not even one may lie")
  return volume
}

/** Whether a place has what descriptions before version 3 do not know. */
function saysMore({ labels, witness }: VolumeBackend): boolean {
  return labels !== undefined || witness !== undefined
}

/** The version that a description with a key has by its places: the lowest one, so that older clients open what they can. */
export function volumeVersionOf(backends: readonly VolumeBackend[]): 2 | 3 {
  return backends.some(saysMore) ? 3 : 2
}

function bad(why: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `This description of a volume cannot be used: ${why}.`)
}
