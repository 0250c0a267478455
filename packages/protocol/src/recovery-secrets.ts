/** What a recovery kit restores: the secrets of a profile. Specification: docs/formats/recovery-kit.md. */
import { type CborValue, decodeCbor, encodeCbor, FieldReader, fromUtf8, HoldfastError, utf8 } from "@holdfast/core"
import { decodeCap } from "./cap.ts"
import { parseVolume, type VolumeDescription } from "./volume.ts"

/** The secrets of a profile, without its identity on a grid. */
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
  /** Aliases that the account does not own: what they stand for is another's to keep. */
  readonly localAliases: readonly string[]
  readonly volumes: readonly VolumeDescription[]
  /** What the profile has seen of registers, as it writes it; may be empty. */
  readonly seen: string
  /** The grid that the profile is a member of. */
  readonly grid?: JoinedGrid | undefined
  /** Keys of buckets by id of the place, when the user wanted them in the kit. */
  readonly bucketKeys: ReadonlyMap<string, BucketKeys>
  /** Master keys of the profile's protected kits by `VOLUME/NAME`: what makes them anew, or erases them. */
  readonly kits: ReadonlyMap<string, Uint8Array>
  /** Further secrets of the profile by name, as its account's seed; those of a newer Holdfast are carried unread. */
  readonly others: ReadonlyMap<string, Uint8Array>
}

/** What one needs beside an invitation to know the right coordinator. */
export interface JoinedGrid {
  /** host:port */
  readonly coordinator: string
  /** SHA-256 of the authority's certificate. */
  readonly caFingerprint: Uint8Array
}

/** Keys of a bucket. */
export interface BucketKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

const what = "recovery kit's content"
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const kitPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\/[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const placePattern = /^[\x21-\x7e]{1,400}$/
/** What a line of a credentials file can hold. */
const keyPattern = /^[\x21-\x7e]{1,256}$/
const otherPattern = /^[a-z][A-Za-z0-9]{0,63}$/
/** Bytes of those of the other secrets that this version knows. */
const otherBytes: Readonly<Record<string, number>> = { accountSeed: 32, ownerSecret: 32 }
/** The key that moves the volume with this id. */
const volumeKeyPattern = /^volumeKey([0-9a-f]{32})$/
/** What a profile keeps under these names is no plain secret: a kit must not be able to write it. */
const reserved = new Set([
  "version",
  "convergenceSecret",
  "aliases",
  "volumes",
  "aliasVolumes",
  "recoveryKits",
  "keyPem",
  "volumeKeys",
  "aliasStates",
  "accountDevice",
])
/** Names of aliases that the account does not own lie among the other secrets, which also an older Holdfast carries on. */
const localPattern = /^localAliases[0-9]{1,2}$/
const mostAliases = 65_536
const mostOthers = 64
const mostOtherBytes = 4096

/** Encodes the secrets. */
export function encodeRecoverySecrets(secrets: RecoverySecrets): Uint8Array {
  const { grid } = secrets
  return encodeCbor([
    2,
    secrets.createdMs,
    secrets.volume,
    secrets.places,
    secrets.convergenceSecret,
    Object.fromEntries(secrets.aliases),
    Object.fromEntries(secrets.aliasVolumes),
    // What is absent has no place in CBOR.
    secrets.volumes.map((volume) => JSON.parse(JSON.stringify(volume)) as CborValue),
    secrets.seen,
    grid ? [grid.coordinator, grid.caFingerprint] : null,
    Object.fromEntries(
      [...secrets.bucketKeys].map(([place, keys]) => [place, [keys.accessKeyId, keys.secretAccessKey]]),
    ),
    Object.fromEntries(secrets.kits),
    Object.fromEntries([...secrets.others, ...encodeLocal(secrets.localAliases, mostOthers - secrets.others.size)]),
  ])
}

/** As many as have room, in pages; one that has none is owned by whoever restores the kit, which costs space and loses nothing. */
function encodeLocal(names: readonly string[], mostPages: number): [string, Uint8Array][] {
  const pages: string[] = []
  for (const name of names) {
    const last = pages.at(-1)
    if (last !== undefined && last.length + 1 + name.length <= mostOtherBytes)
      pages[pages.length - 1] = `${last}\n${name}`
    else pages.push(name)
  }
  return pages.slice(0, Math.max(0, mostPages)).map((page, i) => [`localAliases${i}`, utf8(page)])
}

function takeLocal(others: ReadonlyMap<string, Uint8Array>): Pick<RecoverySecrets, "others" | "localAliases"> {
  const local = [...others].filter(([name]) => localPattern.test(name))
  const localAliases = local.flatMap(([, page]) => fromUtf8(page).split("\n"))
  if (!localAliases.every((name) => namePattern.test(name))) throw damaged("aliases that are not owned")
  return { others: new Map([...others].filter(([name]) => !localPattern.test(name))), localAliases }
}

/**
 * Decodes the secrets, of version 1 too, and checks each capability and volume. Throws ERR_BAD_FORMAT,
 * ERR_UNSUPPORTED_VERSION, ERR_BAD_CAPABILITY.
 */
export function decodeRecoverySecrets(bytes: Uint8Array): RecoverySecrets {
  const fields = new FieldReader(decodeCbor(bytes, what), what)
  const version = fields.integer()
  if (version !== 1 && version !== 2)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `A recovery kit of version ${version} needs a newer Holdfast.`, {
      version,
    })
  const first = {
    createdMs: fields.integer(),
    volume: fields.text(64),
    places: fields.array(255).map(textOf),
    convergenceSecret: fields.bytes(32),
    aliases: mapOf(fields.any(), namePattern, textOf),
    aliasVolumes: mapOf(fields.any(), namePattern, textOf),
    volumes: fields.array(mostAliases).map(parseVolume),
    seen: fields.text(),
  }
  const more =
    version === 1
      ? { bucketKeys: new Map(), kits: new Map(), others: new Map(), localAliases: [] }
      : {
          grid: gridOf(fields.any()),
          bucketKeys: mapOf(fields.any(), placePattern, keysOf),
          kits: mapOf(fields.any(), kitPattern, (value) => bytesOf(value, 32)),
          ...takeLocal(mapOf(fields.any(), otherPattern, otherOf)),
        }
  fields.end()
  for (const cap of first.aliases.values()) decodeCap(cap)
  return { ...first, ...more }
}

/** True for a secret that a kit carries by its name alone, as `accountSeed`. */
export function checkOtherSecret(name: string, value: Uint8Array): boolean {
  const length = volumeOfKey(name) !== undefined ? 32 : Object.hasOwn(otherBytes, name) ? otherBytes[name] : undefined
  if (!otherPattern.test(name) || reserved.has(name)) return false
  return length === undefined ? value.length <= mostOtherBytes : value.length === length
}

/** The name under which a kit carries the key that moves a volume. */
export function volumeKeyName(volumeId: string): string {
  return `volumeKey${volumeId}`
}

/** The volume whose key a kit carries under this name; undefined for another secret. */
export function volumeOfKey(name: string): string | undefined {
  return volumeKeyPattern.exec(name)?.[1]
}

function otherOf(value: CborValue, name: string): Uint8Array {
  const bytes = bytesOf(value)
  if (!checkOtherSecret(name, bytes)) throw damaged("a secret of the right length")
  return bytes
}

function gridOf(value: CborValue): JoinedGrid | undefined {
  if (value === null) return undefined
  const fields = new FieldReader(value, what)
  const grid = { coordinator: fields.text(300), caFingerprint: fields.bytes(32) }
  fields.end()
  if (!/^[\x21-\x7e]+$/.test(grid.coordinator)) throw damaged("the address of a coordinator")
  return grid
}

function keysOf(value: CborValue): BucketKeys {
  const fields = new FieldReader(value, what)
  const keys = { accessKeyId: fields.text(), secretAccessKey: fields.text() }
  fields.end()
  if (!keyPattern.test(keys.accessKeyId) || !keyPattern.test(keys.secretAccessKey)) throw damaged("keys of a bucket")
  return keys
}

function mapOf<T>(
  value: CborValue,
  pattern: RegExp,
  itemOf: (value: CborValue, name: string) => T,
): ReadonlyMap<string, T> {
  if (value === null || typeof value !== "object" || Array.isArray(value) || value instanceof Uint8Array)
    throw damaged("names")
  const entries = Object.entries(value)
  const most = pattern === otherPattern ? mostOthers : mostAliases
  if (entries.length > most || !entries.every(([name]) => pattern.test(name))) throw damaged("names")
  return new Map(entries.map(([name, item]) => [name, itemOf(item, name)]))
}

function textOf(value: CborValue): string {
  if (typeof value !== "string") throw damaged("text")
  return value
}

function bytesOf(value: CborValue, length?: number): Uint8Array {
  if (!(value instanceof Uint8Array) || (length !== undefined && value.length !== length)) throw damaged("bytes")
  return value
}

function damaged(expected: string): HoldfastError {
  return new HoldfastError("ERR_BAD_FORMAT", `${what} is damaged: expected ${expected}.`, { what, expected })
}
