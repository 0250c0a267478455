/** Folders that root makes in somebody's folder, while that person puts other things in their way. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import { makePrivateFolder } from "../src/node/index.ts"
import { between, callsOf, picture } from "./between-calls.ts"

const isRoot = process.getuid?.() === 0
const person = 4321

/** Somebody's home, and a folder that is not theirs. */
function setUp(base: string) {
  fs.rmSync(base, { recursive: true, force: true })
  for (const name of ["home", "victim/b", "victim/c"]) fs.mkdirSync(`${base}/${name}`, { recursive: true })
  fs.writeFileSync(`${base}/victim/shadow`, "of root", { mode: 0o600 })
  fs.chmodSync(`${base}/home`, 0o755)
  fs.chownSync(`${base}/home`, person, person)
  return { home: `${base}/home`, victim: `${base}/victim` }
}

const swaps: Record<string, (folder: string, victim: string) => void> = {
  "a link to a folder": (folder, victim) => fs.symlinkSync(victim, folder),
  "a hard link to a file": (folder, victim) => fs.linkSync(`${victim}/shadow`, folder),
  "a link to a file": (folder, victim) => fs.symlinkSync(`${victim}/shadow`, folder),
}

for (const [what, put] of Object.entries(swaps))
  test(`nothing elsewhere is made, or given away, when ${what} comes in the place of a folder`, {
    skip: !isRoot,
  }, async (t) => {
    const base = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-private-"))
    t.after(() => fs.rmSync(base, { recursive: true, force: true }))
    const first = setUp(base)
    const calls = await callsOf(async () => makePrivateFolder(`${first.home}/a/b/c`))
    for (const name of ["a", "a/b", "a/b/c"]) {
      const { uid, mode } = fs.statSync(`${first.home}/${name}`)
      assert.deepEqual([uid, mode & 0o777], [person, 0o700])
    }
    for (const name of ["a", "a/b", "a/b/c"])
      for (let at = 0; at < calls; at++) {
        const { home, victim } = setUp(base)
        const before = picture(victim)
        const swap = (count: number) => {
          if (count !== at || !fs.existsSync(`${home}/${name}`)) return
          fs.renameSync(`${home}/${name}`, `${home}/aside`)
          put(`${home}/${name}`, victim)
        }
        await between(swap, async () => makePrivateFolder(`${home}/a/b/c`)).catch((error: NodeJS.ErrnoException) => {
          assert.ok(["ENOTDIR", "ELOOP", "EEXIST", "ENOENT"].includes(error.code ?? ""), String(error))
        })
        assert.deepEqual(picture(victim), before, `${name}, before call ${at}`)
      }
  })
