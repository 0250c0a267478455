/**
 * Whole commands over a local grid of real processes (3/4/5, TLS, fsync on) beside the peers that are installed, each on the same data
 * in turn: 1 GiB, and 10,000 small files. Then what has no peer here: a directory of 100,000 entries, small commands, and the repair of
 * a lost node. The disk alone stands beside them.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { startGrid } from "../e2e/grid.ts"
import { type Measured, measure, measureProgram, report } from "./command.ts"
import { gib, makeFile, makeFiles } from "./data.ts"
import { compareKeepers, holdfastKeeper, type Keeper, medianOf } from "./keepers.ts"
import { peersIn } from "./peers.ts"

const smallFiles = 10_000
const smallBytes = 4096
const manyEntries = 100_000
const rounds = 3

const grid = await startGrid()
const at = (name: string) => `${grid.folder}/${name}`
const holdfast = (...args: string[]) => measure(grid.start(args), grid.pids("all"))

/** Writes and reads the same bytes with nothing in between. */
async function disk(): Promise<void> {
  makeFile(at("big"), gib)
  const dd = (from: string, to: string, ...more: string[]) =>
    measureProgram("dd", [`if=${from}`, `of=${to}`, "bs=4M", ...more])
  report("disk: write and fsync 1 GiB", await dd(at("big"), at("copy"), "conv=fsync"), gib)
  // Past the page cache, which would give the speed of memory instead; not every file system can.
  for (const [what, run] of [
    ["write", () => dd(at("big"), at("copy"), "oflag=direct", "conv=fsync")],
    ["read", () => dd(at("copy"), "/dev/null", "iflag=direct")],
  ] as const) {
    const measured = await run().catch(() => undefined)
    if (measured) report(`disk: ${what} 1 GiB, past the cache`, measured, gib)
    else process.stdout.write(`disk: this file system cannot ${what} past the cache: left out.\n`)
  }
  fs.rmSync(at("big"))
  fs.rmSync(at("copy"))
}

/** Runs a command several times and reports medians. `args` are of one round. */
async function repeated(name: string, args: (round: number) => string[], note = ""): Promise<void> {
  const times: Measured[] = []
  for (let round = 0; round < 5; round++) times.push(await holdfast(...args(round)))
  const [seconds, peakMib, cpuSeconds] = (["seconds", "peakMib", "cpuSeconds"] as const).map((key) =>
    medianOf(times.map((each) => each[key])),
  )
  report(name, { seconds: seconds!, peakMib, cpuSeconds }, 0, note)
}

async function smallCommands(): Promise<void> {
  fs.mkdirSync(at("many"))
  for (let i = 0; i < manyEntries; i++) fs.writeFileSync(at(`many/${i}`), "")
  report("put a directory of 100,000 entries", await holdfast("put", at("many"), "home:/many"), 0)
  await repeated("ls of 100,000 entries", () => ["ls", "home:/many"], "(aim: 0.5 s)")
  fs.writeFileSync(at("one"), randomBytes(smallBytes))
  await repeated("put one file into it", (round) => ["put", at("one"), `home:/many/one-${round}`])
  await repeated("cat of it", () => ["cat", "home:/many/one-0"], "(aim: 0.15 s)")
  await repeated("holdfast --version", () => ["--version"], "(aim: 0.04 s)")
  const bare = await measureProgram(process.execPath, ["-e", "0"])
  report("Node that does nothing", bare, 0)
}

/** A node comes back with an empty disk. */
async function repair(): Promise<void> {
  makeFile(at("big"), gib)
  await grid.run(["put", at("big"), "home:/repaired"])
  await grid.kill("n1")
  grid.wipe("n1")
  await grid.revive()
  report(
    "repair of 1 GiB, one node of five lost",
    await holdfast("check", "--repair", "--deep", "home:/repaired"),
    gib,
    "(aim: 150 MB/s)",
  )
}

const ours = holdfastKeeper("holdfast, 3 of 5 over TLS, fsync", "home:/", (args) => ({
  child: grid.start(args),
  servers: grid.pids("all"),
}))
const keepers: Keeper[] = [ours]
try {
  await disk()
  keepers.push(...(await peersIn(grid.folder)))
  await compareKeepers(keepers, { name: "1 GiB", bytes: gib, rounds, make: (path) => makeFile(path, gib) }, grid.folder)
  const small = { name: "10,000 files of 4 KiB", bytes: smallFiles * smallBytes, rounds, isPutAgain: true }
  for (const { name, noManyFiles } of keepers)
    if (noManyFiles) process.stdout.write(`${name}: left out of small files, since ${noManyFiles}.\n`)
  await compareKeepers(
    keepers.filter((keeper) => !keeper.noManyFiles),
    { ...small, make: (path) => makeFiles(path, smallFiles, () => smallBytes) },
    grid.folder,
  )
  await smallCommands()
  await repair()
} finally {
  for (const keeper of keepers) await keeper.close?.()
  await grid.close()
}
