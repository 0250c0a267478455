/**
 * Every command over directories that somebody else wrote, watched by strace: whatever lies in them, no system call changes, or opens,
 * anything but the places themselves, the profile and the destination that the user named.
 */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { dirname, join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { after, before, describe, test } from "node:test"
import { type Client, createClient } from "./client.ts"
import { missingPrograms } from "./processes.ts"
import { changesIn } from "./system-calls.ts"

const missing = missingPrograms(["strace", "mkfifo"])
const why = missing.length > 0 && `not installed: ${missing.join(", ")}`
if (why) assert.ok(!process.env["HOLDFAST_REQUIRE_ALL"], why)
const command = join(dirname(import.meta.dirname), "dist/holdfast.mjs")

const files = { "large.bin": randomBytes(700_000), "small.txt": Buffer.from("small") }
const reading = [["ls", "disks:"], ["cat", "disks:small.txt"], ["check", "--deep", "--verify", "disks:"], ["status"]]
const writing = [
  ["put", "new", "disks:"],
  ["check", "--deep", "--repair", "disks:"],
  ["gc"],
  ["volume", "test", "disks"],
]

/** All others that ask places or the profile; commands of grids and daemons know no directories. Lists of what is taken from files. */
const others = [
  ...[
    ["tree", "disks:"],
    ["stat", "disks:small.txt"],
    ["du", "disks:"],
    ["find", "disks:", "--name", "*.txt"],
  ],
  ...[
    ["mkdir", "disks:/made"],
    ["cp", "disks:small.txt", "disks:/made/copy"],
    ["mv", "disks:/made/copy", "disks:/moved"],
  ],
  ...[
    ["snapshot", "create", "disks:", "now"],
    ["snapshot", "list", "disks:"],
    ["diff", "disks:@now", "disks:"],
  ],
  ...[
    ["cap", "disks:", "--read", "--out", "back/cap"],
    ["ln", "@file:back/cap", "disks:/linked"],
    ["cap", "disks:/made", "--live", "--out", "back/live"],
  ],
  ...[
    ["rm", "-r", "disks:/made"],
    ["snapshot", "restore", "disks:", "now"],
    ["snapshot", "remove", "disks:", "now"],
  ],
  ...[
    ["history", "list", "disks:"],
    ["history", "restore", "disks:", "1"],
    ["history", "epoch", "disks:"],
  ],
  ...[
    ["leakage", "disks:"],
    ["rebalance", "disks:"],
    ["check", "--sample", "5", "disks:"],
    ["check", "--repair", "--dry-run", "disks:"],
    ["rebalance", "--dry-run", "disks:"],
    ["maintain", "--once", "disks:"],
    ["keep", "disks", "7d"],
  ],
  ...[
    ["alias", "create", "more"],
    ["alias", "list"],
    ["alias", "remove", "more", "--yes"],
    ["upgrade", "--dry-run"],
  ],
  ...[
    ["account", "show"],
    ["account", "export", "--out", "back/account"],
  ],
  ...[
    ["volume", "list"],
    ["volume", "show", "disks"],
    ["volume", "export", "disks"],
  ],
  ...[
    ["volume", "accounts", "list", "disks"],
    ["volume", "follow", "disks"],
    ["seen", "list"],
    ["seen", "export"],
  ],
  ...[["recovery", "kit", "--out", "back/words"], ["recovery", "test"], ["doctor"]],
]

/** What those end with that do not succeed on a volume that is well: it has not moved. */
const codes: Record<string, number> = { follow: 3 }

describe("directories of a volume that somebody else wrote", { skip: why }, () => {
  let client: Client
  let victim: string
  const place = (name: string) => join(client.folder, "places", name)

  before(async () => {
    client = createClient()
    victim = join(client.folder, "victim")
    fs.mkdirSync(join(victim, "photos"), { recursive: true })
    fs.writeFileSync(join(victim, "thesis.tex"), "years of work")
    fs.writeFileSync(join(victim, "photos", "child.jpg"), "the only one")
    const database = new DatabaseSync(join(victim, "places.sqlite"))
    database.exec("CREATE TABLE history (url TEXT)")
    database.close()
    fs.mkdirSync(join(client.folder, "docs"))
    for (const [name, bytes] of Object.entries(files)) fs.writeFileSync(join(client.folder, "docs", name), bytes)
    fs.writeFileSync(join(client.folder, "new"), randomBytes(200_000))
    const backends = ["a", "b", "c"].map((name) => `dir:${place(name)}`)
    await client.run(["volume", "create", "disks", "--coding", "1/2/3", "--backend", ...backends])
    await client.run(["put", "docs/large.bin", "docs/small.txt", "disks:"])
    fs.cpSync(join(client.folder, "places"), join(client.folder, "copy"), { recursive: true })
  })
  after(() => client?.close())

  /** Puts the places back as they were, and lets somebody change the first of them. */
  function changeFirst(change: (dir: string) => void): void {
    for (const name of ["places", "state"]) fs.rmSync(join(client.folder, name), { recursive: true })
    fs.cpSync(join(client.folder, "copy"), join(client.folder, "places"), { recursive: true })
    change(place("a"))
  }

  /** Runs a command under strace and checks what it did to which files. */
  async function watch(words: readonly string[]): Promise<void> {
    const log = join(client.folder, "calls.log")
    const args = ["-f", "-y", "-qq", "-s", "4096", "-e", "trace=%file,%desc", "-e", "signal=none", "-o", log]
    const node = [process.execPath, command, ...words]
    try {
      execFileSync("strace", [...args, ...node], {
        cwd: client.folder,
        env: client.env,
        timeout: 120_000,
        stdio: "pipe",
      })
    } catch (error) {
      // A place that is of no use makes some commands end with a code of their own; none may hang or crash.
      const { status, stderr } = error as { status: number | null; stderr: Buffer }
      const isFinding = words[0] === "doctor" && status === 1
      assert.ok((status !== null && status > 1) || isFinding, `${words.join(" ")} ended with ${status}: ${stderr}`)
    }
    const mine = ["places", "config", "data", "state", "cache", "back"].map((name) => join(client.folder, name))
    for (const { call, path, writes } of changesIn(fs.readFileSync(log, "latin1"))) {
      assert.ok(!isIn(path, victim), `${words.join(" ")}: ${call}`)
      if (!writes || !isIn(path, client.folder)) continue
      assert.ok(
        mine.some((dir) => isIn(path, dir)),
        `${words.join(" ")}: ${call}`,
      )
    }
  }

  async function watchAll(commands: readonly (readonly string[])[]): Promise<void> {
    const before = picture(victim)
    for (const words of commands) await watch(words)
    assert.deepEqual(picture(victim), before)
  }

  test("are watched by a check that sees what a command writes", async () => {
    changeFirst(() => undefined)
    await watch(["put", "new", "disks:"])
    const calls = changesIn(fs.readFileSync(join(client.folder, "calls.log"), "latin1"))
    const written = calls.filter(({ path, writes }) => writes && isIn(path, place("a")))
    assert.ok(
      written.some(({ path }) => /\/shares\/local\/[0-9a-f]{8}\/[0-9a-f]{64}\./.test(path)),
      "a share's file",
    )
    assert.ok(
      written.some(({ path }) => path.endsWith("/index.sqlite")),
      "the index",
    )
  })

  /** Links out of the place wherever one can lie, and names in the index that lead out of it. */
  function leadOut(dir: string): void {
    const [part] = fs.readdirSync(join(dir, "shares/local"))
    const [share] = fs.readdirSync(join(dir, "shares/local", part!))
    fs.symlinkSync(victim, join(dir, "shares/local/deadbeef"))
    fs.symlinkSync(victim, join(dir, "shares/other"))
    fs.symlinkSync(victim, join(dir, "quarantine"))
    fs.symlinkSync(victim, join(dir, "fence"))
    fs.rmSync(join(dir, "shares/local", part!, share!))
    fs.symlinkSync(join(victim, "thesis.tex"), join(dir, "shares/local", part!, share!))
    const index = new DatabaseSync(join(dir, "index.sqlite"))
    index.exec("UPDATE shares SET file = '../../../../victim/thesis.tex' WHERE row % 2 = 0 AND file IS NOT NULL")
    index.exec("INSERT INTO removing VALUES ('local', '../../../../victim/thesis.tex'), ('../../victim', 'photos')")
    index.exec("UPDATE meta SET value = 0 WHERE name = 'clean'")
    index.close()
  }

  test("lead nowhere by links, pipes and names in the index", async () => {
    changeFirst(leadOut)
    await watchAll([...reading, ...writing, ["get", "--overwrite", "disks:", "back"]])
    for (const [name, bytes] of Object.entries(files))
      assert.ok(fs.readFileSync(join(client.folder, "back", name)).equals(bytes), name)
  })

  test("lead nowhere in any other command", async () => {
    const back = join(client.folder, "back")
    for (const change of [undefined, leadOut]) {
      changeFirst(change ?? (() => undefined))
      fs.rmSync(back, { recursive: true, force: true })
      fs.mkdirSync(back)
      if (change) await watchAll(others)
      else for (const words of others) await client.run(words, { code: codes[words[1] ?? words[0]!] ?? 0 }) // as they are meant, and not a mistake of this list
    }
  })

  test("and a source and a destination that somebody else wrote lead nowhere", async () => {
    changeFirst(() => undefined)
    const [source, back] = ["source", "back"].map((name) => join(client.folder, name)) as [string, string]
    const part = ".holdfast-0123456789ab-0.part"
    for (const folder of [source, back]) {
      fs.rmSync(folder, { recursive: true, force: true })
      fs.mkdirSync(join(folder, "deep"), { recursive: true })
      fs.symlinkSync(join(victim, "thesis.tex"), join(folder, part))
      execFileSync("mkfifo", [join(folder, "deep", part), join(folder, "pipe"), join(folder, "deep/.holdfastignore")])
      for (const name of [".holdfastignore", "CACHEDIR.TAG"])
        fs.symlinkSync(join(victim, "thesis.tex"), join(folder, name))
      fs.symlinkSync(join(victim, "photos"), join(folder, "photos"))
    }
    for (const name of ["docs", "old"]) fs.mkdirSync(join(back, name))
    fs.symlinkSync(join(victim, "thesis.tex"), join(back, "docs/small.txt"))
    execFileSync("mkfifo", [join(back, "docs/large.bin")])
    fs.symlinkSync(victim, join(back, "old/docs"))
    fs.writeFileSync(join(source, "deep/file"), "a file")
    fs.symlinkSync("/dev/zero", join(source, "deep/zero"))
    await watchAll([
      ["put", "--dry-run", "--delete", "source", "disks:/stored"],
      ["put", "--exclude-caches", "-x", "--exclude", "*.tmp", "source", "disks:/stored"],
      ["put", "--delete", "--yes", "--overwrite", "--no-ignore-files", "source", "disks:/stored"],
      ["put", "--delete", "--yes", "source/deep", "disks:/stored"],
      ["get", "--dry-run", "disks:", "back/docs"],
      ["get", "--overwrite", "--special-bits", "--no-owner", "disks:", "back/docs"],
      ["get", "--overwrite", "disks:/small.txt", "back/docs/"],
      ["get", "--exclude", "large*", "disks:/stored", "back/"],
      ["get", "--special-bits", "disks:/stored", "back/photos/../old/"],
    ])
    assert.equal(fs.readFileSync(join(back, "docs/small.txt"), "utf8"), "small")
    assert.ok(fs.lstatSync(join(back, "docs/large.bin")).isFIFO(), "a pipe is not replaced")
  })

  const otherKinds: Record<string, (dir: string) => void> = {
    "an index that computes": (dir) => {
      const index = new DatabaseSync(join(dir, "index.sqlite"))
      index.exec("CREATE TRIGGER t AFTER INSERT ON marks BEGIN DELETE FROM shares; END")
      index.close()
    },
    "links for the index, the shares and the mark": (dir) => {
      for (const [name, target] of [
        ["index.sqlite", "places.sqlite"],
        ["shares", "photos"],
        ["holdfast-volume", "thesis.tex"],
      ] as const) {
        fs.rmSync(join(dir, name), { recursive: true })
        fs.symlinkSync(join(victim, target), join(dir, name))
      }
    },
    "a pipe for the mark and the index": (dir) => {
      for (const name of ["holdfast-volume", "index.sqlite"]) {
        fs.rmSync(join(dir, name))
        execFileSync("mkfifo", [join(dir, name)])
      }
    },
  }
  for (const [what, change] of Object.entries(otherKinds))
    test(`lead nowhere with ${what}, and the other places serve`, async () => {
      changeFirst(change)
      await watchAll([...reading, ...writing])
      assert.equal((await client.run(["cat", "disks:small.txt"])).stdout, "small")
    })
})

function isIn(path: string, dir: string): boolean {
  return path === dir || path.startsWith(`${dir}/`)
}

function picture(dir: string): string[] {
  const entries = fs.readdirSync(dir, { recursive: true, withFileTypes: true })
  return entries
    .map((entry) => resolve(entry.parentPath, entry.name))
    .map((path) => {
      const { mode, mtimeMs, ctimeMs, size } = fs.lstatSync(path)
      return [path, mode, mtimeMs, ctimeMs, size].join(" ")
    })
    .sort()
}
