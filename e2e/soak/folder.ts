/** What a folder must hold: the oracle of a run, and the comparison with what came back. */
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as paths from "node:path"

/** Bytes that were stored, by their hash. */
export interface Content {
  readonly sizeBytes: number
  readonly sha256: string
}

/** What stands under one name in a folder: a file, a directory of files, or a link to another's tree. */
export interface Item {
  readonly kind: "file" | "directory" | "link"
  /** By their paths below the item; "" is the file itself. */
  readonly files: ReadonlyMap<string, Content>
}

/** Items by name: an immutable state, so that "before" and "after" can be compared. */
export type Items = ReadonlyMap<string, Item>

/** A tree that people share. */
export interface SharedTree {
  readonly volume: "grid" | "clouds"
  /** What each person calls it. */
  readonly names: Readonly<Record<string, string>>
}

/** A folder that one worker alone writes. */
export interface Folder {
  readonly tree: SharedTree
  readonly path: string
  items: Items
  /** Names that stay as they are for now: another is about to copy them. */
  readonly frozen: Set<string>
}

/** A state of a folder, kept under a name. */
export interface Snapshot {
  readonly folder: Folder
  readonly name: string
  readonly items: Items
}

export function contentOf(bytes: Uint8Array): Content {
  return { sizeBytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") }
}

/** `items` with one more, or with another of that name. */
export function withItem(items: Items, name: string, item: Item): Items {
  return new Map([...items, [name, item]])
}

/** `items` without one. */
export function withoutItem(items: Items, name: string): Items {
  return new Map([...items].filter(([other]) => other !== name))
}

/** All files of a folder by their paths below it. */
export function filesOf(items: Items): Map<string, Content> {
  const all = new Map<string, Content>()
  for (const [name, { files }] of items)
    for (const [path, content] of files) all.set(path === "" ? name : `${name}/${path}`, content)
  return all
}

/** What lies in a local folder, or "" for a file; nothing when it is not there. */
export function readFolder(dir: string): Map<string, Content> {
  const found = new Map<string, Content>()
  if (!fs.existsSync(dir)) return found
  if (fs.statSync(dir).isFile()) return found.set("", contentOf(fs.readFileSync(dir)))
  for (const entry of fs.readdirSync(dir, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) {
      const path = paths.join(entry.parentPath, entry.name)
      found.set(paths.relative(dir, path), contentOf(fs.readFileSync(path)))
    }
  return found
}

/** What is wrong with `found`; undefined when it is what `expected` says. */
export function differenceOf(expected: ReadonlyMap<string, Content>, found: ReadonlyMap<string, Content>) {
  const missing = [...expected.keys()].filter((path) => !found.has(path))
  const extra = [...found.keys()].filter((path) => !expected.has(path))
  const other = [...expected].filter(([path, { sha256 }]) => found.has(path) && found.get(path)!.sha256 !== sha256)
  const parts = [
    ...(missing.length > 0 ? [`missing: ${missing.join(", ")}`] : []),
    ...(other.length > 0 ? [`with other content: ${other.map(([path]) => path).join(", ")}`] : []),
    ...(extra.length > 0 ? [`not expected: ${extra.join(", ")}`] : []),
  ]
  return parts.length > 0 ? parts.join("; ") : undefined
}
