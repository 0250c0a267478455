/** Random data that benchmarks keep: nobody can have it already, and nobody can compress it. */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"

export const mib = 1024 * 1024
export const gib = 1024 * mib

const pieceBytes = 16 * mib

/** Makes a file of `bytes`, a multiple of 16 MiB. */
export function makeFile(path: string, bytes: number): void {
  const file = fs.openSync(path, "w")
  for (let written = 0; written < bytes; written += pieceBytes) fs.writeSync(file, randomBytes(pieceBytes))
  fs.closeSync(file)
}

/** Makes `count` files in numbered folders of `perFolder` below `path`. */
export function makeFiles(path: string, count: number, bytesOf: (i: number) => number, perFolder = 100): void {
  for (let i = 0; i < count; i++) {
    const folder = `${path}/${Math.floor(i / perFolder)}`
    if (i % perFolder === 0) fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(`${folder}/${i}`, randomBytes(bytesOf(i)))
  }
}
