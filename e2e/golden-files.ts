/** The golden volumes of interop/golden as files: one of each generation of formats. */
import { readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import type { GoldenServer } from "./golden.ts"

export type { Found } from "./golden.ts"

const golden = join(import.meta.dirname, "..", "interop/golden")

/** Of version 1 of chunks and registers; and of versions 2 and 4, where two of the servers are buckets of version 2. */
export const goldenFolders: readonly string[] = ["v1", "v2"].map((name) => join(golden, name))

/** Where what a server of a golden volume holds lies. */
export function serverFolder(folder: string, number: number): string {
  return join(folder, `server-${number}`)
}

/** What a server of a golden volume holds: as files, or as the objects of a bucket. */
export function heldBy(folder: string, number: number): GoldenServer {
  const place = serverFolder(folder, number)
  const files = readdirSync(place, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name))
  const read = (paths: readonly string[]) => paths.map((path) => new Uint8Array(readFileSync(path)))
  return {
    shares: read(files.filter((path) => path.endsWith(".share") || path.includes("/shares/"))),
    registers: read(newest(files.filter((path) => path.endsWith(".register") || path.includes("/registers/")))),
  }
}

/** Of the values of a register in a bucket the first one: keys count down. */
function newest(paths: readonly string[]): string[] {
  const folders = new Map<string, string>()
  for (const path of paths.toSorted().toReversed())
    folders.set(path.endsWith(".register") ? path : path.slice(0, -basename(path).length), path)
  return [...folders.values()]
}
