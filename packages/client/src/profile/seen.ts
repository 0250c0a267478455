/**
 * What a profile has seen of registers, in the state folder: NAME has one file a register, on disk before a command says that it
 * is done. Commands that run at once merge what they saw. Nothing here is secret. Specification: docs/formats/profile.md.
 */
import { existsSync } from "node:fs"
import { readdir, readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import {
  fromHex,
  HoldfastError,
  integer,
  isHoldfastError,
  limits,
  list,
  matching,
  record,
  type Schema,
  toHex,
} from "@holdfast/core"
import { codeOf, ioError, makePrivateFolder, nodeCrypto, writeSecretFile } from "@holdfast/core/node"
import { mergeSeen, type Seen, type SeenStore } from "@holdfast/store"
import * as v from "valibot"
import { holding } from "./secrets.ts"

const idPattern = /^[0-9a-f]{64}$/
const sequenceSchema = integer()
const valueSchema = v.pipe(v.string(), v.maxLength(2 * limits.registerValueBytes), v.regex(/^([0-9a-f]{2})+$/))
const pointSchema = v.object({ sequence: sequenceSchema, hash: matching(idPattern) })
const seenSchema = v.object({
  epoch: v.optional(sequenceSchema),
  sequence: sequenceSchema,
  /** Values known to be held by a quorum, the newest first: the others are not proven to come before it. */
  values: v.optional(list(valueSchema, 65)),
  /** Where the user went on although that was not proven. */
  accepted: v.optional(list(v.object({ timeMs: sequenceSchema, from: pointSchema, to: pointSchema }), 16)),
})
const fileSchema = v.object({ ...seenSchema.entries, version: v.literal(1) })
/** What profiles kept before: all sequence numbers in NAME.json, values in NAME.values. */
const oldSchema = record(sequenceSchema)
const exportSchema = v.union([
  v.object({ version: v.literal(2), registers: record(seenSchema, idPattern) }),
  v.object({
    version: v.literal(1),
    registers: record(v.object({ sequence: integer(1), value: v.optional(valueSchema) }), idPattern),
  }),
])

/** So many registers are kept decoded. */
const mostFiles = 16

/** What `holdfast seen export` prints. */
export interface SeenExport {
  readonly version: 2
  readonly registers: Readonly<Record<string, v.InferOutput<typeof seenSchema>>>
}

/** What was seen, on disk. */
export interface ProfileSeen {
  readonly seen: SeenStore
  /** Ids of all registers seen. */
  listSeen(): Promise<string[]>
  /** Everything, for another device of the same user. */
  exportSeen(): Promise<SeenExport>
  /** Takes what another device exported; gives the number of registers. Throws ERR_FORK, ERR_BAD_FORMAT. */
  importSeen(exported: unknown): Promise<number>
  /** Forgets a register, so that what its servers offer next is taken as it is. False when it was never seen. */
  forgetSeen(register: string): Promise<boolean>
}

/** Opens what profile `name` has seen. Nothing is read before it is asked for. */
export function openSeen(folder: string, name: string): ProfileSeen {
  const dir = join(folder, name)
  const old = { sequences: join(folder, `${name}.json`), values: join(folder, `${name}.values`) }
  const oldSequences = () => readWhole(old.sequences, oldSchema)

  const files = new DecodedFiles(fileSchema, decodeSeen)

  async function get(id: string): Promise<Seen | undefined> {
    const held = await files.read(join(dir, id))
    if (held) return held
    const sequence = (await oldSequences())?.[id]
    if (sequence === undefined) return undefined
    const stable = await readIfThere(join(old.values, id))
    return { sequence, ...(stable && { stable: new Uint8Array(stable) }) }
  }

  const update: SeenStore["update"] = (id, change) =>
    guarded(dir, () =>
      holding(join(dir, `${id}.lock`), async () => {
        const seen = await change(await get(id))
        const text = `${JSON.stringify({ version: 1, ...encodeSeen(seen) }, null, 1)}\n`
        await writeSecretFile(join(dir, id), text)
        files.keep(join(dir, id), text, seen)
      }),
    )

  async function listSeen(): Promise<string[]> {
    const names = existsSync(dir) ? await readdir(dir) : []
    const ids = [...names, ...Object.keys((await oldSequences()) ?? {})].filter((id) => idPattern.test(id))
    return [...new Set(ids)].sort()
  }

  return {
    seen: { get, update },
    listSeen,
    async exportSeen() {
      const lines = (await listSeen()).map(async (id) => [id, encodeSeen((await get(id))!)] as const)
      return { version: 2, registers: Object.fromEntries(await Promise.all(lines)) }
    },
    async importSeen(exported) {
      const imported = parseExport(exported)
      for (const [id, theirs] of imported)
        await update(id, async (mine) => mergeSeen(nodeCrypto, id, mine ?? { sequence: 0 }, theirs))
      return imported.length
    },
    async forgetSeen(id) {
      const isKnown = (await listSeen()).includes(id)
      await guarded(dir, () =>
        holding(join(dir, "old.lock"), async () => {
          const { [id]: forgotten, ...others } = (await oldSequences()) ?? {}
          if (forgotten !== undefined) await writeSecretFile(old.sequences, `${JSON.stringify(others, null, 1)}\n`)
          await rm(join(old.values, id), { force: true })
          await holding(join(dir, `${id}.lock`), () => rm(join(dir, id), { force: true }))
        }),
      )
      return isKnown
    },
  }
}

function decodeSeen({ epoch, sequence, values = [], accepted }: v.InferOutput<typeof seenSchema>): Seen {
  const [stable, ...others] = values.map(fromHex)
  return {
    sequence,
    ...(epoch && { epoch }),
    ...(stable && { stable }),
    ...(others.length > 0 && { others }),
    ...(accepted && accepted.length > 0 && { accepted }),
  }
}

function encodeSeen({ epoch, sequence, stable, others = [], accepted }: Seen): v.InferOutput<typeof seenSchema> {
  const values = [...(stable ? [stable] : []), ...others].map(toHex)
  return {
    ...(epoch && { epoch }),
    sequence,
    ...(values.length > 0 && { values }),
    ...(accepted && { accepted: accepted.map((step) => ({ ...step })) }),
  }
}

function parseExport(exported: unknown): [id: string, seen: Seen][] {
  try {
    const parsed = v.parse(exportSchema, exported)
    if (parsed.version === 2)
      return Object.entries(parsed.registers)
        .map(([id, seen]) => [id, decodeSeen(seen)] as const)
        .map(([id, seen]) => [id, seen])
    return Object.entries(parsed.registers).map(([id, { sequence, value }]) => [
      id,
      { sequence, ...(value !== undefined && { stable: fromHex(value) }) },
    ])
  } catch (cause) {
    throw new HoldfastError(
      "ERR_BAD_FORMAT",
      "This is not what `holdfast seen export` writes, or it is damaged. Export it again on the other device.",
      {},
      { cause },
    )
  }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined
    throw ioError(`Could not read ${path}`, error)
  }
}

/** What a file of what was seen holds; undefined when there is none. Throws ERR_BAD_FORMAT. */
async function readWhole<T>(path: string, schema: Schema<T>): Promise<T | undefined> {
  const bytes = await readIfThere(path)
  return bytes && parseSeen(Buffer.from(bytes).toString("utf8"), path, schema)
}

/** What the text of the file at `path` means. Throws ERR_BAD_FORMAT. */
function parseSeen<T>(text: string, path: string, schema: Schema<T>): T {
  try {
    return v.parse(schema, JSON.parse(text))
  } catch (cause) {
    throw new HoldfastError(
      "ERR_BAD_FORMAT",
      `What was seen of trees cannot be read from ${path}: it is damaged, as after a power cut. Your keys and data are not concerned. ` +
        "Remove that file to go on, then `holdfast seen import` from another device if you have one: without it an older version " +
        "or another history of those trees that servers show next would not be noticed.",
      { path },
      { cause },
    )
  }
}

/** What files held that were decoded last: decoding takes longer than reading them. */
class DecodedFiles<Stored, Decoded> {
  readonly #schema: Schema<Stored>
  readonly #decode: (stored: Stored) => Decoded
  readonly #last = new Map<string, { readonly text: string; readonly decoded: Decoded }>()

  constructor(schema: Schema<Stored>, decode: (stored: Stored) => Decoded) {
    this.#schema = schema
    this.#decode = decode
  }

  /** What the file at `path` holds; undefined when there is none. Throws ERR_BAD_FORMAT. */
  async read(path: string): Promise<Decoded | undefined> {
    const bytes = await readIfThere(path)
    if (!bytes) return undefined
    const text = Buffer.from(bytes).toString("utf8")
    const last = this.#last.get(path)
    if (last?.text === text) return last.decoded
    const decoded = this.#decode(parseSeen(text, path, this.#schema))
    this.keep(path, text, decoded)
    return decoded
  }

  /** Takes what `text` means, which the file at `path` holds. */
  keep(path: string, text: string, decoded: Decoded): void {
    this.#last.delete(path)
    this.#last.set(path, { text, decoded })
    if (this.#last.size > mostFiles) this.#last.delete(this.#last.keys().next().value!)
  }
}

/** What cannot be remembered is told, and where: rollback protection stands on it. */
async function guarded<T>(dir: string, work: () => Promise<T>): Promise<T> {
  try {
    makePrivateFolder(dir)
    return await work()
  } catch (error) {
    const cause = isHoldfastError(error)
      ? error
      : codeOf(error) === ""
        ? undefined
        : ioError(`Could not write ${dir}`, error)
    if (!cause) throw error
    if (cause.code !== "ERR_IO" && cause.code !== "ERR_DISK_FULL") throw cause
    throw new HoldfastError(
      cause.code,
      `${cause.message} What was seen of trees could not be remembered there, so a later rollback would not be noticed. ` +
        "What was stored is stored. Make that folder writable, or name another one by XDG_STATE_HOME.",
      { ...cause.details, dir },
      { cause },
    )
  }
}
