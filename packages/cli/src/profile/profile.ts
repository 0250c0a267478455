/** A profile: the identity of one client on one grid, its aliases (which are secrets) and what it has seen. */
import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { mkdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { HoldfastError } from "@holdfast/core"
import { writeSecretFile } from "@holdfast/network"
import { decodeCap } from "@holdfast/protocol"
import { z } from "zod"
import { type Paths, profileDir } from "./paths.ts"

const secretsSchema = z.object({
  version: z.literal(1),
  /** 32 bytes in hexadecimal. */
  convergenceSecret: z.string().regex(/^[0-9a-f]{64}$/),
  aliases: z.record(z.string(), z.string()),
})
type Secrets = z.infer<typeof secretsSchema>

const seenSchema = z.record(z.string(), z.number().int().nonnegative())

/** An opened profile. */
export interface Profile {
  readonly name: string
  readonly dir: string
  /** Where the TLS identity and the cached grid lie. */
  readonly identityDir: string
  readonly convergenceSecret: Uint8Array
  /** Capabilities by alias. */
  readonly aliases: ReadonlyMap<string, string>
  setAlias(alias: string, cap: string): Promise<void>
  removeAlias(alias: string): Promise<void>
  readonly seen: { get(id: string): number | undefined; set(id: string, sequence: number): void }
  /** Writes what was seen to disk. */
  flush(): Promise<void>
}

/** Opens a profile. Throws ERR_NO_PROFILE. */
export async function openProfile(paths: Paths, name: string): Promise<Profile> {
  const dir = profileDir(paths, name)
  const identityDir = join(dir, "identity")
  if (!existsSync(join(dir, "secrets.json")))
    throw new HoldfastError(
      "ERR_NO_PROFILE",
      `There is no profile "${name}" yet. Start a local grid with \`holdfast up\`, or join one with \`holdfast join\`.`,
    )
  let secrets = await readJson(join(dir, "secrets.json"), secretsSchema)
  const seenPath = join(paths.state, "seen", `${name}.json`)
  const seen = new Map(existsSync(seenPath) ? Object.entries(await readJson(seenPath, seenSchema)) : [])
  let isSeenChanged = false
  const change = async (edit: (aliases: Record<string, string>) => void) => {
    const aliases = { ...(await readJson(join(dir, "secrets.json"), secretsSchema)).aliases }
    edit(aliases)
    secrets = { ...secrets, aliases }
    await writeJson(dir, "secrets.json", secrets)
  }
  return {
    name,
    dir,
    identityDir,
    convergenceSecret: Buffer.from(secrets.convergenceSecret, "hex"),
    get aliases() {
      return new Map(Object.entries(secrets.aliases))
    },
    setAlias(alias, cap) {
      checkAlias(alias)
      decodeCap(cap)
      return change((aliases) => {
        aliases[alias] = cap
      })
    },
    async removeAlias(alias) {
      if (!Object.hasOwn(secrets.aliases, alias)) throw unknownAlias(alias, Object.keys(secrets.aliases))
      await change((aliases) => {
        delete aliases[alias]
      })
    },
    seen: {
      get: (id) => seen.get(id),
      set(id, sequence) {
        if ((seen.get(id) ?? 0) >= sequence) return
        seen.set(id, sequence)
        isSeenChanged = true
      },
    },
    async flush() {
      if (!isSeenChanged) return
      isSeenChanged = false
      // Another command may have seen more meanwhile: the highest of each counts.
      const stored = existsSync(seenPath) ? await readJson(seenPath, seenSchema) : {}
      for (const [id, sequence] of Object.entries(stored)) if ((seen.get(id) ?? 0) < sequence) seen.set(id, sequence)
      await writeJson(join(paths.state, "seen"), `${name}.json`, Object.fromEntries(seen))
    },
  }
}

/** Makes the secrets of a new profile, once its identity is there. Keeps those that exist. */
export async function createProfile(paths: Paths, name: string): Promise<Profile> {
  const dir = profileDir(paths, name)
  if (!existsSync(join(dir, "secrets.json"))) {
    const fresh: Secrets = { version: 1, convergenceSecret: randomBytes(32).toString("hex"), aliases: {} }
    await writeJson(dir, "secrets.json", fresh)
  }
  return openProfile(paths, name)
}

/** The error for an alias that nobody made. */
export function unknownAlias(alias: string, known: readonly string[]): HoldfastError {
  const list = known.length > 0 ? ` Known aliases: ${[...known].sort().join(", ")}.` : ""
  return new HoldfastError(
    "ERR_UNKNOWN_ALIAS",
    `There is no alias "${alias}".${list} Add one with \`holdfast alias add\`.`,
  )
}

function checkAlias(alias: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(alias) || alias === "hf")
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `"${alias}" cannot be an alias: use letters, digits, dots and dashes.`,
    )
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  try {
    return schema.parse(JSON.parse(await readFile(path, "utf8")))
  } catch (cause) {
    throw new HoldfastError("ERR_BAD_FORMAT", `${path} is damaged. Restore it from a backup.`, { path }, { cause })
  }
}

async function writeJson(dir: string, name: string, value: unknown): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await writeSecretFile(join(dir, name), `${JSON.stringify(value, null, 1)}\n`)
}
