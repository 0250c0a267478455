/**
 * What maintenance remembers, in a folder of its own, and what readers found damaged meanwhile: each adds lines to a file that the next
 * round takes. Specification: docs/formats/profile.md.
 */
import { appendFile, readFile, rename, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { isHoldfastError } from "@holdfast/core"
import { codeOf, ioError, makePrivateFolder, writeSecretFile } from "@holdfast/core/node"
import { decodeMemory, emptyMemory, encodeMemory } from "../care/maintenance/memory.ts"
import type { MaintenanceFolder } from "../care/maintenance/ports.ts"

/** Readers add nothing to a file that has so many bytes; a sweep finds the rest. */
const mostSuspectBytes = 1024 * 1024
const suspectPattern = /^([A-Za-z0-9._/-]{1,200})\t([0-9a-f]{64})$/

/** How a folder is opened. */
export interface MaintenanceFolderOptions {
  /** Hears that what was remembered is damaged: all is checked anew then. */
  readonly onDamaged?: (path: string) => void
}

/** The folder; it is made when something is written. */
export function openMaintenanceFolder(
  dir: string,
  { onDamaged }: MaintenanceFolderOptions = {},
): MaintenanceFolder & { addSuspects(volume: string, ids: Iterable<string>): Promise<void> } {
  const state = join(dir, "state.json")
  const [added, taken] = [join(dir, "suspects"), join(dir, "suspects.taken")]
  return {
    async load() {
      const text = await textOf(state)
      if (text === undefined) return emptyMemory
      try {
        return decodeMemory(text)
      } catch (error) {
        if (!isHoldfastError(error, "ERR_BAD_FORMAT")) throw error
        onDamaged?.(state)
        return emptyMemory
      }
    },
    async save(memory) {
      makeFolder(dir)
      await writeSecretFile(state, encodeMemory(memory))
    },
    async takeSuspects() {
      // What an earlier round left is looked at first; what was added since, by the next one.
      if ((await textOf(taken)) === undefined) await rename(added, taken).catch(unlessMissing(added))
      const suspects = new Map<string, Set<string>>()
      for (const line of ((await textOf(taken)) ?? "").split("\n")) {
        const [, volume, id] = suspectPattern.exec(line) ?? []
        if (volume === undefined || id === undefined) continue // cut short, as by a full disk
        suspects.set(volume, (suspects.get(volume) ?? new Set()).add(id))
      }
      return suspects
    },
    async keepSuspects(left) {
      const lines = [...left].flatMap(([volume, ids]) => [...ids].map((id) => lineOf(volume, id)))
      if (lines.length > 0) await writeSecretFile(taken, lines.join(""))
      else
        await rm(taken, { force: true }).catch((error: unknown) => {
          throw ioError(`Could not remove ${taken}`, error)
        })
    },
    async addSuspects(volume, ids) {
      const lines = [...ids].map((id) => lineOf(volume, id)).join("")
      const size = await stat(added).then(
        (state) => state.size,
        () => 0,
      )
      if (lines === "" || size + lines.length > mostSuspectBytes) return
      makeFolder(dir)
      await appendFile(added, lines, { mode: 0o600 }).catch((error: unknown) => {
        throw ioError(`Could not write ${added}`, error)
      })
    },
  }
}

function makeFolder(dir: string): void {
  try {
    makePrivateFolder(dir)
  } catch (error) {
    throw ioError(`Could not make ${dir}`, error)
  }
}

function lineOf(volume: string, id: string): string {
  return `${volume}\t${id}\n`
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8")
  } catch (error) {
    unlessMissing(path)(error)
    return undefined
  }
}

function unlessMissing(path: string): (error: unknown) => void {
  return (error) => {
    if (codeOf(error) !== "ENOENT") throw ioError(`Could not read ${path}`, error)
  }
}
