/**
 * Whole commands over a local grid (3/4/5) that is 0, 10, 50 and 500 ms away: a proxy before each of its processes holds back what comes
 * from it. What small commands take longer is their round trips, the handshakes of new connections among them; a thousand small files
 * should take little longer than one.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { startGrid } from "../e2e/grid.ts"
import { measure, record } from "./command.ts"
import { startProxy } from "./proxy.ts"

const delaysMs = [0, 10, 50, 500]
const files = 1000
const rounds = 3

const grid = await startGrid()
const { parts } = JSON.parse(fs.readFileSync(`${grid.folder}/data/holdfast/grid/supervisor.json`, "utf8")) as {
  readonly parts: readonly { readonly port: number }[]
}
const proxies = await Promise.all(parts.map(async ({ port }) => ({ port, proxy: await startProxy(port) })))
const detours = Object.fromEntries(proxies.map(({ port, proxy }) => [port, proxy.port]))
Object.assign(grid.env, {
  HOLDFAST_BENCH_DETOURS: JSON.stringify(detours),
  NODE_OPTIONS: `--import=${new URL("./detour.ts", import.meta.url).href}`,
})
const at = (name: string) => `${grid.folder}/${name}`
let made = 0

/** Each gives the arguments of a command that was not run before. */
const commands: readonly (readonly [name: string, args: () => string[]])[] = [
  ["put 1,000 files of 4 KiB", () => ["put", at("files"), `home:/files${made++}`]],
  ["get 1,000 files", () => ["get", `home:/files${made - 1}`, at(`back${made++}`)]],
  ["ls of 1,000 files", () => ["ls", "home:/files0"]],
  ["put 1 file of 4 KiB", () => ["put", at("files/0"), `home:/one${made++}`]],
  ["cat of it", () => ["cat", `home:/one${made - 1}`]],
  ["mkdir", () => ["mkdir", `home:/directory${made++}`]],
  ["mv", () => ["mv", `home:/directory${made - 1}`, `home:/moved${made - 1}`]],
  ["rm", () => ["rm", "-r", `home:/moved${made - 1}`]],
]

async function secondsOf(args: readonly string[]): Promise<number> {
  return (await measure(grid.start(args))).seconds
}

try {
  fs.mkdirSync(at("files"))
  for (let i = 0; i < files; i++) fs.writeFileSync(at(`files/${i}`), randomBytes(4096))
  const times = new Map(commands.map(([name]) => [name, delaysMs.map((): number[] => [])]))
  for (let round = 0; round < rounds; round++)
    for (const [i, delayMs] of delaysMs.entries()) {
      for (const { proxy } of proxies) proxy.delayMs = delayMs
      for (const [name, argsOf] of commands) times.get(name)![i]!.push(await secondsOf(argsOf()))
    }
  const heads = delaysMs.map((delayMs) => `${delayMs} ms`.padStart(9))
  process.stdout.write(`${"round trip".padEnd(28)}${heads.join("")}  more at ${delaysMs.at(-1)} ms, in round trips\n`)
  for (const [name, byDelay] of times) {
    const medians = byDelay.map((seconds) => seconds.toSorted((a, b) => a - b)[rounds >> 1]!)
    const trips = ((medians.at(-1)! - medians[0]!) * 1000) / delaysMs.at(-1)!
    record(name, { delaysMs, seconds: medians, roundTrips: trips })
    const columns = medians.map((seconds) => `${seconds.toFixed(2)} s`.padStart(9))
    process.stdout.write(`${name.padEnd(28)}${columns.join("")}  ${trips.toFixed(1)}\n`)
  }
} finally {
  for (const { proxy } of proxies) proxy.close()
  await grid.close()
}
