/**
 * Transfers beside somebody who writes the same folder, and swaps folders, files and half-written files for links, pipes and hard links
 * between any two calls: nothing that lies elsewhere is stored, written, or given another owner, mode or time.
 */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { after, type TestContext, test } from "node:test"
import { between, callsOf, picture } from "../../core/test/between-calls.ts"
import type { FileSystem } from "../src/file-system.ts"
import { download } from "../src/node/download.ts"
import { isPart } from "../src/node/parts.ts"
import { upload } from "../src/node/upload.ts"
import { setUp } from "./local-folders.ts"

const secret = "nobody may store this"
const isRoot = process.getuid?.() === 0

/** Where nobody was sent: what is there is another's. */
function makeVictim(base: string): string {
  const victim = `${base}/victim`
  fs.rmSync(victim, { recursive: true, force: true })
  fs.mkdirSync(`${victim}/inner`, { recursive: true })
  for (const name of ["secret", "inner/secret", "large", ".holdfastignore"])
    fs.writeFileSync(`${victim}/${name}`, secret, { mode: 0o600 })
  fs.symlinkSync(secret, `${victim}/link`)
  return victim
}

/** Where a pipe lies that is put elsewhere by hard links: making one takes a process. */
const pipes = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-pipe-"))
execFileSync("mkfifo", [`${pipes}/pipe`])
after(() => fs.rmSync(pipes, { recursive: true }))

function makePipe(path: string): void {
  fs.linkSync(`${pipes}/pipe`, path)
}

/** Puts something in the place of what is there, which moves aside. */
function swap(path: string, put: (path: string) => void): void {
  if (!fs.lstatSync(path, { throwIfNoEntry: false })) return
  fs.rmSync(`${path}.aside`, { recursive: true, force: true })
  fs.renameSync(path, `${path}.aside`)
  put(path)
}

/** A folder with everything that is stored in ways of its own. */
function fill(from: string): void {
  fs.rmSync(from, { recursive: true, force: true })
  fs.mkdirSync(`${from}/d/inner`, { recursive: true })
  for (const name of ["secret", "d/secret", "d/inner/secret"]) fs.writeFileSync(`${from}/${name}`, "of no interest")
  fs.writeFileSync(`${from}/d/large`, Buffer.alloc(1_100_000, 1))
  fs.writeFileSync(`${from}/d/.holdfastignore`, "*.aside\n")
  fs.symlinkSync("nowhere", `${from}/d/link`)
}

const swapsOfSources: Record<string, (from: string, victim: string) => void> = {
  "a folder for a link": (from, victim) => swap(`${from}/d`, (path) => fs.symlinkSync(victim, path)),
  "a folder below for a link": (from, victim) => swap(`${from}/d/inner`, (path) => fs.symlinkSync(victim, path)),
  "a folder for a pipe": (from) => swap(`${from}/d/inner`, makePipe),
  "files for links": (from, victim) => {
    for (const name of ["secret", "large", ".holdfastignore"])
      swap(`${from}/d/${name}`, (path) => fs.symlinkSync(`${victim}/${name}`, path))
  },
  "files for pipes": (from) => {
    for (const name of ["secret", "large", ".holdfastignore"]) swap(`${from}/d/${name}`, makePipe)
  },
}

for (const [what, change] of Object.entries(swapsOfSources))
  test(`what is stored is never what lies elsewhere, when ${what} comes in between`, async (t) => {
    const { from, base, home } = await setUp(t)
    const victim = makeVictim(base)
    const store = async (name: string) => upload(home.writer(), from, [name], { onProblem: () => undefined })
    fill(from)
    const calls = await callsOf(() => store("first"))
    assert.ok(calls > 10)
    for (let at = 0; at < calls; at++) {
      fill(from)
      await between(
        (count) => {
          if (count === at) change(from, victim)
        },
        () => store(`${at}`),
      )
      const contents = await contentsOf(home, [`${at}`])
      assert.ok(contents.length > 0)
      assert.ok(!contents.some((text) => text.includes(secret)), `before call ${at}`)
    }
  })

async function contentsOf(home: FileSystem, path: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for await (const [name, item] of home.writer().list(path)) {
    if (item.entry.kind === "directory") found.push(...(await contentsOf(home, [...path, name])))
    if (item.entry.kind === "symlink") found.push(item.entry.target)
    if (item.entry.kind !== "file") continue
    let text = ""
    for await (const piece of item.owner.read(item)) text += Buffer.from(piece.subarray(0, 100)).toString("latin1")
    found.push(text)
  }
  return found
}

function partsIn(folder: string): string[] {
  const names = fs.readdirSync(folder, { recursive: true, encoding: "utf8" })
  return names.filter((name) => isPart(name.split("/").at(-1)!)).map((name) => `${folder}/${name}`)
}

const swapsOfTargets: Record<string, (to: string, victim: string) => void> = {
  "a folder for a link": (to, victim) => swap(`${to}/d`, (path) => fs.symlinkSync(victim, path)),
  "a folder below for a link": (to, victim) => swap(`${to}/d/inner`, (path) => fs.symlinkSync(`${victim}/inner`, path)),
  "files for links": (to, victim) => {
    for (const name of ["secret", "large", "link"])
      swap(`${to}/d/${name}`, (path) => fs.symlinkSync(`${victim}/${name}`, path))
  },
  "files for hard links": (to, victim) => {
    for (const name of ["secret", "large", "link"])
      swap(`${to}/d/${name}`, (path) => fs.linkSync(`${victim}/secret`, path))
  },
  "half-written files for links": (to, victim) => {
    for (const part of partsIn(to)) swap(part, (path) => fs.symlinkSync(`${victim}/secret`, path))
  },
  "half-written files for hard links": (to, victim) => {
    for (const part of partsIn(to)) swap(part, (path) => fs.linkSync(`${victim}/secret`, path))
  },
  "half-written files for hard links to links": (to, victim) => {
    for (const part of partsIn(to)) swap(part, (path) => fs.linkSync(`${victim}/link`, path))
  },
  "half-written files for folders": (to) => {
    for (const part of partsIn(to)) swap(part, (path) => fs.mkdirSync(path))
  },
}

/** What is fetched is to get an owner, modes and times. */
async function stored(t: TestContext) {
  const { from, to, base, home } = await setUp(t)
  fill(from)
  for (const name of ["d/secret", "d/inner", "d"]) {
    fs.chmodSync(`${from}/${name}`, 0o777)
    fs.utimesSync(`${from}/${name}`, 1e9, 1e9)
  }
  if (isRoot)
    for (const name of ["d", "d/secret", "d/large", "d/link", "d/inner", "d/inner/secret"])
      fs.lchownSync(`${from}/${name}`, 4321, 4321)
  await upload(home.writer(), from, ["stored"], { onProblem: () => undefined })
  return { to, base, home }
}

for (const [what, change] of Object.entries(swapsOfTargets))
  for (const isThere of [false, true])
    test(`what lies elsewhere stays as it is, when ${what} comes in between${isThere ? ", over what was fetched before" : ""}`, async (t) => {
      const { to, base, home } = await stored(t)
      const item = (await home.lookup(["stored"]))!
      const fetch = () =>
        download(item, to, { onProblem: () => undefined, owner: isRoot, specialBits: true, overwrite: isThere })
      const begin = async () => {
        fs.rmSync(to, { recursive: true, force: true })
        if (isThere) await fetch()
      }
      await begin()
      const calls = await callsOf(fetch)
      assert.ok(calls > 10)
      for (let at = 0; at < calls; at++) {
        await begin()
        const victim = makeVictim(base)
        const before = picture(victim)
        await between((count) => {
          if (count === at && fs.existsSync(to)) change(to, victim)
        }, fetch)
        assert.deepEqual(picture(victim), before, `before call ${at}`)
      }
    })
