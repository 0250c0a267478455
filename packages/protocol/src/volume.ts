/**
 * The description of a volume: which places together hold it, and how data is spread over them. It names where keys are
 * but holds none. Specification: docs/formats/volume.md.
 */
import { fit, HoldfastError, integer, list, matching, statedVersion, text } from "@holdfast/core"
import * as v from "valibot"
import { labelsSchema } from "./labels.ts"

const nameSchema = matching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
const idSchema = v.pipe(v.string(), v.minLength(1), v.maxLength(400), v.regex(/^[\x21-\x7e]+$/))

/** Where requests go, and nothing else: no name and no password, which would be sent and shown. */
const endpointSchema = v.pipe(
  v.string(),
  v.maxLength(300),
  v.regex(/^https?:\/\/[A-Za-z0-9._:[\]-]+(?:\/[A-Za-z0-9._~%/-]*)?$/),
)

/** What a place of any kind may have in version 3. */
const placeFields = {
  /** What it would be lost with. */
  labels: v.optional(labelsSchema),
  /** It keeps registers and never shares. */
  witness: v.optional(v.literal(true)),
}

/** A bucket of an S3-compatible service. */
const bucketSchema = v.strictObject({
  kind: v.literal("s3"),
  /** Stable name: placement depends on it. */
  id: idSchema,
  bucket: text(63),
  /** Empty, or ends in a slash. */
  prefix: text(1024),
  endpoint: v.optional(endpointSchema),
  /** Part of the host's name where there is no endpoint. */
  region: v.pipe(v.string(), v.maxLength(64), v.regex(/^[\w.-]*$/)),
  pathStyle: v.boolean(),
  /** Name of a profile in the credentials file. */
  profile: v.optional(text(128)),
  /** Path of the credentials file; AWS's usual places when absent. */
  credentials: v.optional(text(4096)),
  /** Whether the service refuses to replace an object when asked to. */
  conditionalWrites: v.boolean(),
  /** Its lists lag behind what was written; absent where they do not. */
  listing: v.optional(v.literal("delayed")),
  ...placeFields,
})
/** A directory of this machine, such as a disk or a network share. */
const directorySchema = v.strictObject({
  kind: v.literal("directory"),
  id: idSchema,
  path: text(4096, 1),
  ...placeFields,
})
/** A storage node of the profile's grid. */
const nodeSchema = v.strictObject({
  kind: v.literal("node"),
  id: idSchema,
  name: text(64),
  ...placeFields,
})

const backendSchema = v.variant("kind", [bucketSchema, directorySchema, nodeSchema])

/** Names of statements at places have room for as many. */
const maxEpoch = 999_999

const schema = v.strictObject({
  /** 2 has an epoch, the description before and the volume's key; 3 besides says more of a place. */
  version: v.union([v.literal(1), v.literal(2), v.literal(3)]),
  /** Random: tells this volume from every other. 32 hexadecimal digits. */
  id: matching(/^[0-9a-f]{32}$/),
  name: nameSchema,
  coding: v.strictObject({
    k: integer(1, 255),
    happy: integer(1, 255),
    n: integer(1, 255),
  }),
  /** crash: n >= 2f+1 places, f of them gone; byzantine: n >= 3f+1, f of them lying. */
  registerMode: v.picklist(["crash", "byzantine"]),
  backends: list(backendSchema, 255, 1),
  /** From version 2 on: 1, and one more each time the volume moves to other places. */
  epoch: v.optional(integer(1, maxEpoch)),
  /** From version 2 on: digest of the description before; null for the first with a key. */
  previous: v.optional(v.nullable(matching(/^[0-9a-f]{64}$/))),
  /** From version 2 on: the Ed25519 key that says where the volume moves, hexadecimal. */
  publicKey: v.optional(matching(/^[0-9a-f]{64}$/)),
})

export type VolumeBackend = v.InferOutput<typeof backendSchema>
export type VolumeDescription = v.InferOutput<typeof schema>

/** Takes a description from outside. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION. */
export function parseVolume(value: unknown): VolumeDescription {
  const version = statedVersion(value)
  if (version !== undefined && version > 3)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `A volume of version ${version} needs a newer Holdfast.`, {
      version,
    })
  const result = fit(schema, value)
  if ("field" in result) throw bad(`${result.field} is not as required`)
  const volume = result.value
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
