/** Somebody else who changes folders between any two calls of the file system that this process makes. */
import * as fs from "node:fs"
import { createRequire, syncBuiltinESMExports } from "node:module"

const builtin = createRequire(import.meta.url)("node:fs") as Record<string, unknown>

/** Runs `work`; before each call of node:fs in it `before` is called, with how many there were. Gives the result. */
export async function between<T>(before: (count: number) => void, work: () => Promise<T>): Promise<T> {
  let count = 0
  let isBusy = false
  const calls = Object.entries(builtin).filter(([name, call]) => typeof call === "function" && /^[a-z]/.test(name))
  for (const [name, call] of calls) {
    const watched = (...args: unknown[]): unknown => {
      if (!isBusy) {
        isBusy = true
        try {
          before(count++)
        } finally {
          isBusy = false
        }
      }
      return (call as (...args: unknown[]) => unknown).apply(builtin, args)
    }
    builtin[name] = Object.assign(watched, call)
  }
  syncBuiltinESMExports()
  try {
    return await work()
  } finally {
    Object.assign(builtin, Object.fromEntries(calls))
    syncBuiltinESMExports()
  }
}

/** So many calls of node:fs `work` makes. */
export async function callsOf(work: () => Promise<unknown>): Promise<number> {
  let calls = 0
  await between((count) => {
    calls = count + 1
  }, work)
  return calls
}

/** What may be told from a folder that nobody was to touch: names, owners, modes, times, contents. */
export function picture(root: string): readonly string[] {
  return fs
    .readdirSync(root, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const path = `${root}/${name}`
      const { uid, gid, mode, size, mtimeNs } = fs.lstatSync(path, { bigint: true })
      const content = fs.lstatSync(path).isFile() ? fs.readFileSync(path, "latin1") : ""
      return [name, uid, gid, mode, size, mtimeNs, content].join(" ")
    })
}
