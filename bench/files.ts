/**
 * Whole commands over a local grid of real processes (3/4/5, fsync on): 1 GiB, 10,000 small files, a directory of 100,000
 * entries. Beside them the disk alone and, where they are installed, rclone crypt and restic on the same data.
 */
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { startGrid } from "../e2e/grid.ts"
import { isInstalled, type Measured, measure, measureProgram, report } from "./command.ts"

const mib = 1024 * 1024
const bigBytes = 1024 * mib
const smallFiles = 10_000
const manyEntries = 100_000

const grid = await startGrid()
const at = (name: string) => `${grid.folder}/${name}`
const holdfast = (...args: string[]) => measure(grid.start(args))

/** Writes and syncs the same bytes with nothing in between. */
async function disk(): Promise<void> {
  const dd = (from: string, to: string, ...more: string[]) =>
    measureProgram("dd", [`if=${from}`, `of=${to}`, "bs=4M", ...more])
  report("disk: write and fsync 1 GiB", await dd(at("big"), at("copy"), "conv=fsync"), bigBytes)
  // Past the page cache, which would give the speed of memory instead; not every file system can.
  const read = await dd(at("copy"), "/dev/null", "iflag=direct").catch(() => undefined)
  if (read) report("disk: read 1 GiB, past the cache", read, bigBytes)
  else process.stdout.write("disk: this file system cannot be read past the cache: left out.\n")
  fs.rmSync(at("copy"))
}

async function peer(name: string, steps: readonly (readonly [string, number, () => Promise<Measured>])[]) {
  for (const [step, bytes, run] of steps) report(`${name}: ${step}`, await run(), bytes)
}

async function rclone(): Promise<void> {
  const env = {
    RCLONE_CONFIG: at("rclone.conf"),
    RCLONE_CONFIG_PLAIN_TYPE: "local",
    RCLONE_CONFIG_SAFE_TYPE: "crypt",
    RCLONE_CONFIG_SAFE_REMOTE: at("rclone"),
    RCLONE_CONFIG_SAFE_PASSWORD: execFileSync("rclone", ["obscure", randomBytes(16).toString("hex")])
      .toString()
      .trim(),
  }
  const copy = (from: string, to: string) => () => measureProgram("rclone", ["copy", from, to], env)
  await peer("rclone crypt", [
    ["put 1 GiB", bigBytes, copy(at("big"), "safe:big")],
    ["get 1 GiB", bigBytes, copy("safe:big", at("rclone-big"))],
    ["put 10,000 files", 0, copy(at("small"), "safe:small")],
    ["put them unchanged", 0, copy(at("small"), "safe:small")],
    ["get 10,000 files", 0, copy("safe:small", at("rclone-small"))],
  ])
}

async function restic(): Promise<void> {
  const env = {
    RESTIC_REPOSITORY: at("restic"),
    RESTIC_PASSWORD: randomBytes(16).toString("hex"),
    RESTIC_CACHE_DIR: at("restic-cache"),
  }
  await measureProgram("restic", ["init"], env)
  const run =
    (...args: string[]) =>
    () =>
      measureProgram("restic", args, env)
  await peer("restic", [
    ["put 1 GiB", bigBytes, run("backup", at("big"))],
    ["get 1 GiB", bigBytes, run("restore", "latest", "--target", at("restic-big"))],
    ["put 10,000 files", 0, run("backup", at("small"))],
    ["put them unchanged", 0, run("backup", at("small"))],
    ["get 10,000 files", 0, run("restore", "latest", "--target", at("restic-small"))],
  ])
}

try {
  const file = fs.openSync(at("big"), "w")
  for (let written = 0; written < bigBytes; written += 16 * mib) fs.writeSync(file, randomBytes(16 * mib))
  fs.closeSync(file)
  for (let i = 0; i < smallFiles; i++) {
    if (i % 100 === 0) fs.mkdirSync(at(`small/${i / 100}`), { recursive: true })
    fs.writeFileSync(at(`small/${Math.floor(i / 100)}/${i}`), randomBytes(4096))
  }
  await disk()
  report("put 1 GiB", await holdfast("put", at("big"), "home:/big"), bigBytes, "(aim: 200 MB/s, under 300 MiB)")
  report("get 1 GiB", await holdfast("get", "home:/big", at("big-back")), bigBytes, "(aim: 350 MB/s, under 300 MiB)")
  execFileSync("cmp", [at("big"), at("big-back")])
  fs.rmSync(at("big-back"))
  report("put 10,000 files of 4 KiB", await holdfast("put", at("small"), "home:/small"), 0, "(aim: 2.5 s)")
  report("put them unchanged", await holdfast("put", at("small"), "home:/small"), 0, "(aim: 1 s)")
  report("get 10,000 files", await holdfast("get", "home:/small", at("small-back")), 0, "(aim: 3 s)")
  execFileSync("diff", ["-r", at("small"), at("small-back")])
  report("check --deep of all that", await holdfast("check", "--deep", "home:"), 0)
  fs.mkdirSync(at("many"))
  for (let i = 0; i < manyEntries; i++) fs.writeFileSync(at(`many/${i}`), "")
  report("put a directory of 100,000 entries", await holdfast("put", at("many"), "home:/many"), 0)
  report("ls of 100,000 entries", await holdfast("ls", "home:/many"), 0, "(aim: 1 s)")
  fs.writeFileSync(at("one"), "one more")
  report("put one file into it", await holdfast("put", at("one"), "home:/many/one"), 0, "(aim: 100 ms of work)")
  report("cat of it", await holdfast("cat", "home:/many/one"), 0)
  report("holdfast --version", await holdfast("--version"), 0, "(aim: 150 ms)")
  if (isInstalled("rclone")) await rclone()
  else process.stdout.write("rclone is not installed: left out.\n")
  if (isInstalled("restic")) await restic()
  else process.stdout.write("restic is not installed: left out.\n")
} finally {
  await grid.close()
}
