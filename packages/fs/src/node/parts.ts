/**
 * Files that are being fetched, under a name of their own until they are whole: how they are called, and what becomes of those that never
 * are.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import type { Folder } from "@holdfast/core/node"

let count = 0
const tag = randomBytes(6).toString("hex")

/** A name that nothing else has. */
export function newPartName(): string {
  return `.holdfast-${tag}-${(count++).toString(36)}.part`
}

/** True for the name of what an interrupted download left, or one is writing. */
export function isPart(name: string): boolean {
  return /^\.holdfast-[0-9a-f]{12}-[0-9a-z]+\.part$/.test(name)
}

/** Whoever still writes a part has changed it since; its own time may be that of what is fetched already. */
const oldMs = 3_600_000

/** Removes what downloads into `folder` left that did not come to their end. What cannot be removed stays. */
export function removeOldParts(folder: Folder, nowMs: number): void {
  for (const name of partsIn(folder))
    try {
      const stat = folder.stat(name)
      if (stat && Math.abs(nowMs - stat.ctimeMs) >= oldMs) fs.unlinkSync(folder.at(name))
    } catch {
      // Somebody else's folder, or it is gone: no reason not to fetch what was asked for.
    }
}

function partsIn(folder: Folder): string[] {
  try {
    return folder.entries().flatMap((entry) => (isPart(entry.name) && !entry.isDirectory() ? [entry.name] : []))
  } catch {
    return [] // as above
  }
}
