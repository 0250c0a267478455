/**
 * What a profile has seen of registers, in the state folder: NAME.json has the highest sequence numbers, NAME.values one
 * file a register with the last value known to be acknowledged. Nothing here is secret.
 */
import { existsSync, readFileSync } from "node:fs"
import { mkdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { equal, fromHex, HoldfastError, limits, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { writeSecretFile } from "@holdfast/network"
import { mergeSeen, type Seen, type SeenStore } from "@holdfast/store"
import { z } from "zod"
import { readJson } from "./secrets.ts"

const sequencesSchema = z.record(z.string(), z.number().int().nonnegative())
const exportSchema = z.object({
  version: z.literal(1),
  registers: z.record(
    z.string().regex(/^[0-9a-f]{64}$/),
    z.object({
      sequence: z.number().int().positive().max(Number.MAX_SAFE_INTEGER),
      value: z
        .string()
        .regex(/^([0-9a-f]{2})+$/)
        .max(2 * limits.registerValueBytes)
        .optional(),
    }),
  ),
})

/** What `holdfast seen export` prints. */
export type SeenExport = z.infer<typeof exportSchema>

/** What was seen, on disk. */
export interface ProfileSeen {
  readonly seen: SeenStore
  /** Everything, for another device of the same user. */
  exportSeen(): SeenExport
  /** Takes what another device exported; gives the number of registers. Throws ERR_FORK, ERR_BAD_FORMAT. */
  importSeen(exported: unknown): Promise<number>
  /** Forgets a register, so that what its servers offer next is taken as it is. False when it was never seen. */
  forgetSeen(register: string): Promise<boolean>
  /** Writes what was seen to disk. Throws ERR_FORK when another process was shown another history meanwhile. */
  flush(): Promise<void>
}

/** Opens what profile `name` has seen. */
export async function openSeen(folder: string, name: string): Promise<ProfileSeen> {
  const path = join(folder, `${name}.json`)
  const values = join(folder, `${name}.values`)
  const load = async (): Promise<z.infer<typeof sequencesSchema>> =>
    existsSync(path) ? readJson(path, sequencesSchema) : {}
  const valueOnDisk = (id: string) => {
    const file = join(values, id)
    return existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined
  }
  const seen = new Map<string, Seen>()
  for (const [id, sequence] of Object.entries(await load())) seen.set(id, { sequence })
  const changed = new Set<string>()
  const withValue = (id: string, known: Seen): Seen => {
    const stable = known.stable ?? valueOnDisk(id)
    return stable ? { ...known, stable } : known
  }
  const get = (id: string) => {
    const known = seen.get(id)
    if (!known) return undefined
    const whole = withValue(id, known)
    seen.set(id, whole)
    return whole
  }
  const set = (id: string, newest: Seen) => {
    seen.set(id, newest)
    changed.add(id)
  }
  /** Another command may have seen more meanwhile: the newest of each counts. */
  const flush = async () => {
    if (changed.size === 0) return
    const onDisk = await load()
    const sequences = new Map(Object.entries(onDisk))
    const forks: unknown[] = []
    await mkdir(values, { recursive: true, mode: 0o700 })
    for (const id of changed) {
      const before = withValue(id, { sequence: sequences.get(id) ?? 0 })
      const merged = await mergeSeen(nodeCrypto, id, before, seen.get(id)!).catch((error: unknown) => {
        forks.push(error)
        return before
      })
      sequences.set(id, merged.sequence)
      if (merged.stable && !(before.stable && equal(before.stable, merged.stable)))
        await writeSecretFile(join(values, id), merged.stable)
    }
    changed.clear()
    await writeSecretFile(path, `${JSON.stringify(Object.fromEntries(sequences), null, 1)}\n`)
    if (forks.length > 0) throw forks[0]
  }
  return {
    seen: { get, set },
    flush,
    exportSeen() {
      const registers: SeenExport["registers"] = {}
      for (const id of [...seen.keys()].sort()) {
        const { sequence, stable } = get(id)!
        registers[id] = { sequence, ...(stable && { value: toHex(stable) }) }
      }
      return { version: 1, registers }
    },
    async importSeen(exported) {
      const imported = Object.entries(parseExport(exported).registers)
      for (const [id, { sequence, value }] of imported) {
        const theirs: Seen = { sequence, ...(value !== undefined && { stable: fromHex(value) }) }
        set(id, await mergeSeen(nodeCrypto, id, get(id) ?? { sequence: 0 }, theirs))
      }
      await flush()
      return imported.length
    },
    async forgetSeen(id) {
      const { [id]: forgotten, ...others } = await load()
      if (forgotten === undefined) return false
      await writeSecretFile(path, `${JSON.stringify(others, null, 1)}\n`)
      await rm(join(values, id), { force: true })
      seen.delete(id)
      changed.delete(id)
      return true
    },
  }
}

function parseExport(exported: unknown): SeenExport {
  try {
    return exportSchema.parse(exported)
  } catch (cause) {
    throw new HoldfastError(
      "ERR_BAD_FORMAT",
      "This is not what `holdfast seen export` writes, or it is damaged. Export it again on the other device.",
      {},
      { cause },
    )
  }
}
