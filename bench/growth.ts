/**
 * What grows with the number of files: time and peak memory of whole commands over a local grid of real processes (3/4/5), for
 * 10,000 and 100,000 small files, half of them in one flat directory. HOLDFAST_GROWTH_FILES names other numbers, "1000000" or
 * "10000,1000000"; HOLDFAST_GROWTH_COMMANDS only some of the commands: `put` comes first and is always done.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { type Grid, startGrid } from "../e2e/grid.ts"
import { type Measured, measure, record } from "./command.ts"

/** What every command is to stay under, however many files there are. */
const aimMib = 300
const flatShare = 0.5
const directoryFiles = 100
const leastBytes = 20
const mostBytes = 100

const counts = (process.env["HOLDFAST_GROWTH_FILES"] ?? "10000,100000").split(",").map(Number)
const only = process.env["HOLDFAST_GROWTH_COMMANDS"]?.split(",")

/** Makes `count` files below `root`: one flat directory, and the others a hundred to a directory, a hundred directories to one. */
function makeFiles(root: string, count: number): void {
  const flat = Math.floor(count * flatShare)
  const contents = randomBytes(mostBytes * 1000)
  const write = (path: string, i: number) => {
    const start = (i * 97) % (contents.length - mostBytes)
    const length = leastBytes + (i % (mostBytes - leastBytes))
    fs.writeFileSync(path, contents.subarray(start, start + length))
  }
  fs.mkdirSync(`${root}/flat`, { recursive: true })
  for (let i = 0; i < flat; i++) write(`${root}/flat/file-${i}.txt`, i)
  for (let i = flat; i < count; i++) {
    const at = Math.floor((i - flat) / directoryFiles)
    const folder = `${root}/spread/${Math.floor(at / directoryFiles)}/${at % directoryFiles}`
    if ((i - flat) % directoryFiles === 0) fs.mkdirSync(folder, { recursive: true })
    write(`${folder}/file-${i}.txt`, i)
  }
}

/** Puts a new file beside every thousandth: what two snapshots differ by. */
function addFiles(root: string, count: number): void {
  for (let i = 0; i < count * flatShare; i += 1000) fs.writeFileSync(`${root}/flat/file-${i}.more`, "more")
}

function row(count: number, command: string, { seconds, peakMib, cpuSeconds }: Measured): string {
  const perFile = (1e6 * (cpuSeconds ?? 0)) / count
  const memory = peakMib === undefined ? "" : `${peakMib.toFixed(0)} MiB`
  return [
    String(count).padStart(9),
    command.padEnd(16),
    `${seconds.toFixed(1)} s`.padStart(9),
    `${(cpuSeconds ?? 0).toFixed(1)} s`.padStart(9),
    `${perFile.toFixed(0)} us`.padStart(9),
    memory.padStart(10),
    (peakMib ?? 0) > aimMib ? `  (aim: ${aimMib} MiB)` : "",
  ].join(" ")
}

async function run(grid: Grid, count: number): Promise<void> {
  const root = `${grid.folder}/files-${count}`
  makeFiles(root, count)
  const place = `home:/${count}`
  const step = async (name: string, ...args: string[]) => {
    if (only && name !== "put" && !only.includes(name)) return
    const measured = await measure(grid.start(args))
    record(name, { files: count, ...measured })
    process.stdout.write(`${row(count, name, measured)}\n`)
  }
  await step("put", "put", root, place)
  await step("put unchanged", "put", root, place)
  await step("ls", "ls", `${place}/flat`)
  await step("find", "find", place)
  await step("du", "du", place)
  const isCompared = !only || only.includes("diff")
  if (isCompared) {
    await grid.run(["snapshot", "create", "home:", `before-${count}`])
    addFiles(root, count)
    await grid.run(["put", root, place])
    await step("diff", "diff", `home:@before-${count}`, "home:")
  }
  await step("check", "check", "--deep", "home:")
  await step("gc", "gc", "--yes")
  await step("rm", "rm", "-r", "--yes", place)
  await step("gc of all", "gc", "--yes")
}

process.stdout.write("    files command           elapsed processor  per file     memory\n")
for (const count of counts) {
  const grid = await startGrid()
  try {
    await run(grid, count)
  } finally {
    await grid.close()
  }
}
