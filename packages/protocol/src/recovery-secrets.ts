/** What a recovery kit restores: the secrets of a profile. Specification: docs/formats/recovery-kit.md. */
import { type CborValue, decodeCbor, encodeCbor, FieldReader, HoldfastError } from "@holdfast/core"
import { decodeCap } from "./cap.ts"
import { parseVolume, type VolumeDescription } from "./volume.ts"

/** The secrets of a profile, without its identity on a grid and without keys of buckets. */
export interface RecoverySecrets {
  readonly createdMs: number
  /** Where the kit lies: the name of the volume, and its places in the order of the shares. */
  readonly volume: string
  readonly places: readonly string[]
  /** 32 bytes. */
  readonly convergenceSecret: Uint8Array
  /** Capabilities by alias. */
  readonly aliases: ReadonlyMap<string, string>
  /** The volume of an alias; the grid's when it is not named. */
  readonly aliasVolumes: ReadonlyMap<string, string>
  readonly volumes: readonly VolumeDescription[]
  /** What the profile has seen of registers, as it writes it; may be empty. */
  readonly seen: string
}

const version = 1
const what = "recovery kit's content"
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const mostAliases = 65_536

/** Encodes the secrets. */
export function encodeRecoverySecrets(secrets: RecoverySecrets): Uint8Array {
  return encodeCbor([
    version,
    secrets.createdMs,
    secrets.volume,
    secrets.places,
    secrets.convergenceSecret,
    Object.fromEntries(secrets.aliases),
    Object.fromEntries(secrets.aliasVolumes),
    // What is absent has no place in CBOR.
    secrets.volumes.map((volume) => JSON.parse(JSON.stringify(volume)) as CborValue),
    secrets.seen,
  ])
}

/** Decodes the secrets and checks each capability and volume. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION, ERR_BAD_CAPABILITY. */
export function decodeRecoverySecrets(bytes: Uint8Array): RecoverySecrets {
  const fields = new FieldReader(decodeCbor(bytes, what), what)
  const found = fields.integer()
  if (found !== version)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `A recovery kit of version ${found} needs a newer Holdfast.`, {
      version: found,
    })
  const secrets: RecoverySecrets = {
    createdMs: fields.integer(),
    volume: fields.text(64),
    places: fields.array(255).map(textOf),
    convergenceSecret: fields.bytes(32),
    aliases: namesOf(fields.any()),
    aliasVolumes: namesOf(fields.any()),
    volumes: fields.array(mostAliases).map(parseVolume),
    seen: fields.text(),
  }
  fields.end()
  for (const cap of secrets.aliases.values()) decodeCap(cap)
  return secrets
}

function namesOf(value: CborValue): ReadonlyMap<string, string> {
  if (value === null || typeof value !== "object" || Array.isArray(value) || value instanceof Uint8Array)
    throw damaged("names")
  const entries = Object.entries(value)
  if (entries.length > mostAliases || !entries.every(([name]) => namePattern.test(name))) throw damaged("names")
  return new Map(entries.map(([name, text]) => [name, textOf(text)]))
}

function textOf(value: CborValue): string {
  if (typeof value !== "string") throw damaged("text")
  return value
}

function damaged(expected: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `${what} is damaged: expected ${expected}.`, { what, expected })
}
