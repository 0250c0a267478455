/**
 * What memory grows with, over a local grid of real processes (3/4/5): time and peak memory of whole commands for 10,000 and 100,000
 * small files, half of them in one directory; then of a large file, and the most that a node takes while eight clients put and get large
 * files at once. HOLDFAST_GROWTH_FILES names other numbers of files ("1000000", "10000,1000000", "" for none), HOLDFAST_GROWTH_GIB the
 * GiB of the large file and of the eight together (4; 0 for none), HOLDFAST_GROWTH_COMMANDS only some of the commands: `put` comes first
 * and is always done.
 */
import * as fs from "node:fs"
import { type Grid, startGrid } from "../e2e/grid.ts"
import { cpuSecondsOf, type Measured, measure, peakMibOf, record } from "./command.ts"
import { gib, makeFile, makeFiles } from "./data.ts"

/** What commands are to stay under, however many files there are; and with a large file; and a node. */
const aims = { files: 300, large: 200, node: 150 }
const leastBytes = 20
const mostBytes = 100
const clients = 8

const numbersIn = (text: string) => text.split(",").filter(Boolean).map(Number)
const counts = numbersIn(process.env["HOLDFAST_GROWTH_FILES"] ?? "10000,100000")
const largeGib = Number(process.env["HOLDFAST_GROWTH_GIB"] ?? 4)
const only = process.env["HOLDFAST_GROWTH_COMMANDS"]?.split(",")

/** Makes `count` files below `root`: half in one directory, and the others a hundred to a directory. */
function makeTree(root: string, count: number): void {
  const flat = Math.floor(count / 2)
  const bytesOf = (i: number) => leastBytes + (i % (mostBytes - leastBytes))
  makeFiles(`${root}/flat`, flat, bytesOf, flat)
  makeFiles(`${root}/spread`, count - flat, bytesOf)
}

/** Puts a new file beside every thousandth of the large directory. */
function addFiles(root: string, count: number): void {
  for (let i = 0; i < count / 2; i += 1000) fs.writeFileSync(`${root}/flat/0/${i}.more`, "more")
}

/** A line of the table; `each` is what a command takes for one file or GiB. */
function print(
  what: string,
  command: string,
  each: string,
  { seconds, peakMib, cpuSeconds }: Measured,
  aim: number,
): void {
  record(command, { what, seconds, peakMib, cpuSeconds, aimMib: aim })
  const memory = peakMib === undefined ? "" : `${peakMib.toFixed(0)} MiB`
  const columns = [
    what.padStart(10),
    command.padEnd(16),
    `${seconds.toFixed(1)} s`.padStart(9),
    `${(cpuSeconds ?? 0).toFixed(1)} s`.padStart(9),
    each.padStart(10),
    memory.padStart(10),
    (peakMib ?? 0) > aim ? `  (aim: ${aim} MiB)` : "",
  ]
  process.stdout.write(`${columns.join(" ").trimEnd()}\n`)
}

async function ofFiles(grid: Grid, count: number): Promise<void> {
  const root = `${grid.folder}/files-${count}`
  makeTree(root, count)
  const place = `home:/${count}`
  const step = async (name: string, ...args: string[]) => {
    if (only && name !== "put" && !only.includes(name)) return
    const measured = await measure(grid.start(args))
    const perFile = (1e6 * (measured.cpuSeconds ?? 0)) / count
    print(String(count), name, `${perFile.toFixed(0)} us`, measured, aims.files)
  }
  await grid.run(["snapshot", "create", "home:", "empty"])
  await step("put", "put", root, place)
  await step("put unchanged", "put", root, place)
  await step("put again", "put", root, `${place}-again`) // as new files, beside as many
  await step("ls", "ls", `${place}/flat/0`)
  await step("find", "find", place)
  await step("du", "du", place)
  if (!only || only.includes("diff")) {
    await grid.run(["snapshot", "create", "home:", "before"])
    addFiles(root, count)
    await grid.run(["put", root, place])
    await grid.run(["snapshot", "create", "home:", "after"])
    await step("diff", "diff", "home:@before", "home:@after")
  }
  await step("diff of all", "diff", "home:@empty", "home:")
  await step("check", "check", "--deep", "home:")
  await step("gc", "gc", "--yes")
  await step("rm", "rm", "-r", "--yes", place)
  await step("gc after rm", "gc", "--yes")
}

async function ofLarge(grid: Grid): Promise<void> {
  const [source, target] = [`${grid.folder}/large`, `${grid.folder}/got`]
  makeFile(source, largeGib * gib)
  const step = async (name: string, ...args: string[]) => {
    const measured = await measure(grid.start(args), grid.pids("nodes"))
    const perGib = (measured.cpuSeconds ?? 0) / largeGib
    print(`${largeGib} GiB`, name, `${perGib.toFixed(1)} s/GiB`, measured, aims.large)
  }
  await step("put", "put", source, "home:/large")
  await step("get", "get", "home:/large", target)
  fs.rmSync(source)
  fs.rmSync(target)
  await grid.run(["rm", "--yes", "home:/large"])
}

/** Of the node that takes most; each command's own peak is that of one large file, above. */
async function ofClients(grid: Grid): Promise<void> {
  const bytes = (largeGib * gib) / clients
  const all = Array.from({ length: clients }, (_, i) => i)
  const sourceOf = (i: number) => `${grid.folder}/source-${i}`
  for (const i of all) makeFile(sourceOf(i), bytes)
  const step = async (name: string, argsOf: (i: number) => string[]) => {
    const nodes = grid.pids("nodes")
    for (const pid of nodes) fs.writeFileSync(`/proc/${pid}/clear_refs`, "5") // begins the peak anew
    const before = cpuSecondsOf(nodes) ?? 0
    const each = await Promise.all(all.map((i) => measure(grid.start(argsOf(i)))))
    const cpuSeconds = (cpuSecondsOf(nodes) ?? 0) - before
    const seconds = Math.max(...each.map((measured) => measured.seconds))
    const peakMib = Math.max(...nodes.map((pid) => peakMibOf(pid) ?? 0))
    const perGib = `${(cpuSeconds / largeGib).toFixed(1)} s/GiB`
    print(`${clients} at once`, name, perGib, { seconds, cpuSeconds, peakMib }, aims.node)
  }
  await step("node, put", (i) => ["put", sourceOf(i), `home:/large-${i}`])
  await step("node, get", (i) => ["get", `home:/large-${i}`, `${grid.folder}/got-${i}`])
}

process.stdout.write("      what command           elapsed processor       each     memory\n")
for (const count of counts) await withGrid((grid) => ofFiles(grid, count))
if (largeGib > 0)
  await withGrid(async (grid) => {
    await ofLarge(grid)
    await ofClients(grid)
  })

async function withGrid(run: (grid: Grid) => Promise<void>): Promise<void> {
  const grid = await startGrid()
  try {
    await run(grid)
  } finally {
    await grid.close()
  }
}
