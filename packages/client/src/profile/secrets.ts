/**
 * The secrets of a profile on disk: `secrets.json` and the private key as they are, or both in `secrets.locked` under a
 * passphrase. While `secrets.locked` exists it alone counts; plain files beside it are what an interrupted change left,
 * and are removed by the next command that opens the profile.
 */
import { existsSync, lstatSync } from "node:fs"
import { open, readdir, readFile, rm, stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import {
  equal,
  fromUtf8,
  HoldfastError,
  isHoldfastError,
  list,
  matching,
  record,
  type Schema,
  text,
  utf8,
} from "@holdfast/core"
import {
  isDenied,
  keepOwner,
  localError,
  makePrivateFolder,
  nodeCrypto,
  refuseExposed,
  systemClock,
  whoseIs,
  writeSecretFile,
} from "@holdfast/core/node"
import * as v from "valibot"
import { isRunning, markOf } from "./process.ts"
import {
  decodeSealed,
  keyOfPassphrase,
  newParameters,
  openSealed,
  type PassphraseKey,
  sealSecrets,
} from "./sealed-secrets.ts"

const hexKey = matching(/^[0-9a-f]{64}$/)
/** What the profile knows of a recovery kit that it protected. */
const recoveryKitSchema = v.object({
  /** What argon2id made of its words; absent when only erasing is left. */
  master: v.optional(hexKey),
  /** Places that took a part. */
  places: list(v.string(), 255),
  /** Registers of kits before, the places that may still hold a part there, and the ids of those kits. */
  erase: list(v.object({ seed: hexKey, places: list(v.string(), 255), kits: v.optional(list(hexKey, 255)) }), 64),
})
/** An append-only device's part of its account, in hexadecimal. */
export const deviceSchema = v.strictObject({
  /** The account's collect key. */
  publicKey: hexKey,
  /** From it follow the registers in which the device lists its roots, one for each volume. */
  listSecret: hexKey,
  /** The account's grant. */
  grant: v.pipe(v.string(), v.maxLength(2048), v.regex(/^([0-9a-f]{2})+$/)),
})

/** What a newer Holdfast keeps here stays. */
const secretsSchema = v.looseObject({
  version: v.literal(1),
  /** 32 bytes in hexadecimal. */
  convergenceSecret: hexKey,
  aliases: record(v.string()),
  /** Descriptions of volumes, by name. */
  volumes: v.optional(record(v.unknown())),
  /** Keys that move volumes, by the volumes' ids: seeds in hexadecimal. */
  volumeKeys: v.optional(record(matching(/^[0-9a-f]{64}$/))),
  /** The volume that an alias is in; the grid's when it is not named. */
  aliasVolumes: v.optional(record(v.string())),
  /** By `VOLUME/NAME`. */
  recoveryKits: v.optional(record(recoveryKitSchema)),
  /** Seed of the key by which this device signs what it writes: 32 bytes in hexadecimal. */
  deviceSeed: v.optional(hexKey),
  /** From it the owner's key of each tree is derived that this profile makes. */
  ownerSecret: v.optional(hexKey),
  /**
   * How an alias stands to the account: in its list, or of this profile alone. One that is not named is to be listed yet: it
   * comes from before there were accounts.
   */
  aliasStates: v.optional(record(v.picklist(["listed", "local"]))),
  /** 32 bytes in hexadecimal, of a device that has all rights of its account. */
  accountSeed: v.optional(hexKey),
  /** What an append-only device has instead of the account's seed. */
  accountDevice: v.optional(deviceSchema),
})
const lockedSchema = v.looseObject({ ...secretsSchema.entries, keyPem: v.optional(text(16_384)) })

/** What only the owner may know. */
export type Secrets = v.InferOutput<typeof secretsSchema>

/** What a profile knows of a recovery kit that it protected: where it lies, what opens it, what has to be erased. */
export type RecoveryKitKeys = v.InferOutput<typeof recoveryKitSchema>

/** Secrets as they were read. */
export interface OpenedSecrets {
  readonly secrets: Secrets
  /** There when the profile is locked: what opened it, and the private key, if there is one, that is locked with it. */
  readonly lock?: { readonly key: PassphraseKey; readonly keyPem?: string | undefined }
}

/** Asks for the passphrase, at most once in a run. */
export type AskPassphrase = () => Promise<string>

const waitMs = 10_000
const pauseMs = 20
const longPauseMs = 1000

/** The files of the profile in `dir`. */
export const secretFiles = (dir: string) => ({
  plain: join(dir, "secrets.json"),
  locked: join(dir, "secrets.locked"),
  privateKey: join(dir, "identity", "key.pem"),
  changing: join(dir, "changing"),
})

/** True while the secrets are under a passphrase. */
export function isLocked(dir: string): boolean {
  return existsSync(secretFiles(dir).locked)
}

/** True when there is a profile. Throws ERR_IO when another user's folder hides whether there is. */
export function hasSecrets(dir: string): boolean {
  const { plain } = secretFiles(dir)
  if (isLocked(dir) || existsSync(plain)) return true
  try {
    lstatSync(plain)
  } catch (cause) {
    if (!isDenied(cause)) return false
    const whose = whoseIs(plain) ?? `You may not look into ${dir}: chmod u+rwx it.`
    throw new HoldfastError("ERR_IO", `The profile cannot be read: ${whose}`, { path: plain }, { cause })
  }
  return true
}

/** Reads the secrets. Throws ERR_BAD_FORMAT, ERR_EXPOSED, ERR_LOCKED, ERR_WRONG_PASSPHRASE. */
export async function readSecrets(dir: string, ask: AskPassphrase, known?: PassphraseKey): Promise<OpenedSecrets> {
  const files = secretFiles(dir)
  if (!isLocked(dir)) {
    await refuseExposed([dir, files.plain, files.privateKey])
    return { secrets: await readJson(files.plain, secretsSchema) }
  }
  await refuseExposed([dir, files.locked])
  const sealed = await whole(files.locked, async () => decodeSealed(await readFile(files.locked)))
  const isKnown = known && equal(known.parameters.salt, sealed.parameters.salt)
  const key = isKnown ? known : await keyOfPassphrase(await ask(), sealed.parameters)
  const plaintext = await openSealed(nodeCrypto, sealed, key)
  const { keyPem, ...secrets } = await whole(files.locked, () => v.parse(lockedSchema, JSON.parse(fromUtf8(plaintext))))
  return { secrets, lock: { key, keyPem } }
}

/** Replaces the secrets, locked as they were. Call it within `changing`. */
export async function writeSecrets(dir: string, { secrets, lock }: OpenedSecrets): Promise<void> {
  const files = secretFiles(dir)
  if (lock) {
    const plaintext = utf8(JSON.stringify({ ...secrets, keyPem: lock.keyPem }))
    await writeSecretFile(files.locked, await sealSecrets(nodeCrypto, lock.key, plaintext))
  } else await writeSecretFile(files.plain, `${JSON.stringify(secrets, null, 1)}\n`)
}

/** Puts the secrets under a passphrase, or under another one. Call it within `changing`. */
export async function lockSecrets(dir: string, opened: OpenedSecrets, passphrase: string): Promise<void> {
  const key = await keyOfPassphrase(passphrase, newParameters(nodeCrypto))
  const { privateKey } = secretFiles(dir)
  const keyPem = opened.lock?.keyPem ?? (existsSync(privateKey) ? await readFile(privateKey, "utf8") : undefined)
  await writeSecrets(dir, { secrets: opened.secrets, lock: { key, keyPem } })
  await removePlain(dir)
}

/** Puts the plain files back and takes the lock away, in this order. Call it within `changing`. */
export async function unlockSecrets(dir: string, { secrets, lock }: OpenedSecrets): Promise<void> {
  if (!lock) return
  const files = secretFiles(dir)
  if (lock.keyPem !== undefined) await writeSecretFile(files.privateKey, lock.keyPem)
  await writeSecrets(dir, { secrets })
  await removeDurably([files.locked])
}

/** Removes plain secrets that an interrupted lock or unlock left beside the locked ones. */
export async function removeLeftovers(dir: string): Promise<void> {
  if (!isLocked(dir) || (await plainFiles(dir)).length === 0) return
  await changing(dir, async () => {
    if (isLocked(dir)) await removePlain(dir) // else another command has just unlocked it
  })
}

/** Runs `work` while no other command changes this profile. Throws ERR_CONFLICT when one takes too long. */
export async function changing<T>(dir: string, work: () => Promise<T>): Promise<T> {
  makePrivateFolder(dir)
  return holding(secretFiles(dir).changing, work)
}

/** How a file is held. */
export interface HoldingOptions {
  /** Waits for as long as it takes, and looks seldom; hears once who holds it. Without, ten seconds are the most. */
  readonly onWait?: (pid: string) => void
  /** Ends the waiting. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs `work` while no other process holds the file `path`, which is there as long. Throws ERR_CONFLICT when one takes too long, and the
 * signal's reason.
 */
export async function holding<T>(
  path: string,
  work: () => Promise<T>,
  { onWait, signal }: HoldingOptions = {},
): Promise<T> {
  const until = Date.now() + waitMs
  let isTold = false
  while (!(await claim(path))) {
    const text = await readFile(path, "utf8").catch(() => "")
    const [pid, started = ""] = text.split(" ")
    const isStale = text === "" ? await isOld(path) : !(await isRunning({ pid: Number(pid), started }))
    if (isStale && (await readFile(path, "utf8").catch(() => "")) === text) await letGo(path)
    else if (onWait) {
      if (!isTold && text !== "") onWait(pid!)
      isTold ||= text !== ""
      await systemClock.sleep(longPauseMs, signal)
    } else if (Date.now() > until)
      throw new HoldfastError("ERR_CONFLICT", `Process ${pid} is changing this profile (${path}). Try again later.`)
    else await new Promise((resolve) => setTimeout(resolve, 2 + Math.random() * pauseMs))
  }
  try {
    return await work()
  } finally {
    await letGo(path)
  }
}

async function letGo(path: string): Promise<void> {
  await rm(path, { force: true }).catch((error: unknown) => {
    throw localError(error, path)
  })
}

/** True when nobody wrote into the file since it was made: its process was killed in between. */
async function isOld(path: string): Promise<boolean> {
  const made = await stat(path).catch(() => undefined)
  return made !== undefined && Date.now() - made.mtimeMs > waitMs / 2
}

async function claim(path: string): Promise<boolean> {
  const file = await open(path, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EEXIST") return undefined
    throw localError(error, path)
  })
  if (!file) return false
  try {
    keepOwner(file.fd, dirname(path))
    const mark = await markOf(process.pid)
    await file.writeFile(`${process.pid} ${mark?.started ?? ""}`)
    return true
  } catch (error) {
    await rm(path, { force: true }) // else the next command waits for whoever made it
    throw localError(error, path)
  } finally {
    await file.close()
  }
}

async function removePlain(dir: string): Promise<void> {
  await removeDurably(await plainFiles(dir))
}

/** Plain files that exist, with those that a killed write of them left. */
async function plainFiles(dir: string): Promise<string[]> {
  const { plain, privateKey } = secretFiles(dir)
  const lists = [plain, privateKey].map(async (path) => {
    const names = existsSync(dirname(path)) ? await readdir(dirname(path)) : []
    const paths = names.map((name) => join(dirname(path), name))
    return paths.filter((one) => one === path || one.startsWith(`${path}.`))
  })
  return (await Promise.all(lists)).flat()
}

async function removeDurably(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(path, { force: true })
  for (const folder of new Set(paths.map((path) => dirname(path)))) {
    const handle = await open(folder, "r")
    await handle.sync().finally(() => handle.close())
  }
}

/** Reads JSON of a file of the profile. Throws ERR_BAD_FORMAT that names the file. */
export function readJson<T>(path: string, schema: Schema<T>): Promise<T> {
  return whole(path, async () => v.parse(schema, JSON.parse(await readFile(path, "utf8"))))
}

/** Runs `read`; what fails in it means that the file is damaged. The cause stays out: it may quote a secret. */
async function whole<T>(path: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    const system =
      error instanceof Error && "errno" in error ? String((error as NodeJS.ErrnoException).code) : undefined
    const whose = isDenied(error) ? whoseIs(path) : undefined
    if (system)
      throw new HoldfastError("ERR_IO", `${path} cannot be read: ${whose ?? `${system}.`}`, { path, code: system })
    const code = isHoldfastError(error) ? error.code : "ERR_BAD_FORMAT"
    const why = isHoldfastError(error) ? ` ${error.message}` : ""
    const todo =
      code === "ERR_UNSUPPORTED_VERSION"
        ? ""
        : " Restore it from a backup, or join again and add your aliases from the capabilities that you kept."
    throw new HoldfastError(code, `${path} cannot be used.${why}${todo}`, { path })
  }
}
