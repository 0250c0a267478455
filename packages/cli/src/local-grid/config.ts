/** What a local grid consists of: ports, coding and folders, decided once when it is made. */
import { randomInt } from "node:crypto"
import { existsSync } from "node:fs"
import { readFile } from "node:fs/promises"
import { createServer, type Server } from "node:net"
import { join } from "node:path"
import { HoldfastError, integer, list } from "@holdfast/core"
import { makePrivateFolder, writeSecretFile } from "@holdfast/core/node"
import * as v from "valibot"

const configSchema = v.object({
  version: v.literal(1),
  coding: v.object({ k: integer(), happy: integer(), n: integer() }),
  coordinatorPort: integer(),
  statusPort: integer(),
  nodes: list(v.object({ name: v.string(), port: integer() }), 255),
  /** A node that keeps registers and never shares. */
  witness: v.optional(v.object({ name: v.string(), port: integer() })),
})

/** A local grid's settings. */
export type LocalGridConfig = v.InferOutput<typeof configSchema>

/** Where the parts of a local grid lie. */
export interface LocalGridFiles {
  readonly dir: string
  readonly config: string
  readonly supervisor: string
  readonly coordinatorDir: string
  log(part: string): string
  nodeIdentity(name: string): string
  nodeData(name: string): string
}

/** The files of the grid in `dir`. */
export function gridFiles(dir: string): LocalGridFiles {
  return {
    dir,
    config: join(dir, "grid.json"),
    supervisor: join(dir, "supervisor.json"),
    coordinatorDir: join(dir, "coordinator"),
    log: (part) => join(dir, "log", `${part}.log`),
    nodeIdentity: (name) => join(dir, name, "identity"),
    nodeData: (name) => join(dir, name, "data"),
  }
}

/** The settings of the grid in `dir`; undefined when there is none. */
export async function loadConfig(dir: string): Promise<LocalGridConfig | undefined> {
  const path = gridFiles(dir).config
  if (!existsSync(path)) return undefined
  try {
    return v.parse(configSchema, JSON.parse(await readFile(path, "utf8")))
  } catch (cause) {
    throw new HoldfastError(
      "ERR_BAD_FORMAT",
      `${path} is damaged. Restore it, or remove ${dir} to start anew.`,
      { path },
      { cause },
    )
  }
}

/** The settings of the grid in `dir`, if it is the one that has this coordinator. */
export async function configOfGrid(dir: string, coordinator: string): Promise<LocalGridConfig | undefined> {
  const config = await loadConfig(dir)
  return config && coordinatorAddress(config) === coordinator ? config : undefined
}

/** Where members of a local grid reach its coordinator. */
export function coordinatorAddress({ coordinatorPort }: LocalGridConfig): string {
  return `127.0.0.1:${coordinatorPort}`
}

/** Its nodes, the witness after the others. */
export function everyNode({ nodes, witness }: LocalGridConfig): { readonly name: string; readonly port: number }[] {
  return [...nodes, ...(witness ? [witness] : [])]
}

/** Decides on a new grid's settings and writes them. */
export async function makeConfig(
  dir: string,
  {
    nodes,
    coding,
    witness,
  }: { readonly nodes: number; readonly coding: LocalGridConfig["coding"]; readonly witness: boolean },
): Promise<LocalGridConfig> {
  const ports = await freePorts(nodes + 1 + (witness ? 1 : 0))
  const config: LocalGridConfig = {
    version: 1,
    coding,
    coordinatorPort: ports[0]!,
    statusPort: await preferredPort(7070),
    nodes: ports.slice(1, nodes + 1).map((port, i) => ({ name: `n${i + 1}`, port })),
    ...(witness && { witness: { name: "w1", port: ports.at(-1)! } }),
  }
  makePrivateFolder(join(dir, "log"))
  await writeSecretFile(gridFiles(dir).config, `${JSON.stringify(config, null, 1)}\n`)
  return config
}

/** Parses K/H/N. Throws ERR_INVALID_ARGUMENT. */
export function parseCoding(text: string, nodeCount: number): LocalGridConfig["coding"] {
  const match = /^(\d{1,3})\/(\d{1,3})\/(\d{1,3})$/.exec(text)
  const [k, happy, n] = (match?.slice(1) ?? []).map(Number) as [number, number, number]
  if (!match || k < 1 || k > happy || happy > n || n > 255)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `"${text}" is not a coding: write K/HAPPY/N with K <= HAPPY <= N <= 255, like 3/4/5.`,
    )
  if (happy > nodeCount)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `Coding ${text} needs ${happy} distinct nodes, but there are only ${nodeCount}.`,
    )
  return { k, happy, n }
}

/**
 * Ports from which no system takes those of outgoing connections (Linux from 32768 on, others from 49152): while the grid is stopped such a
 * one would be anybody's.
 */
const firstPort = 20_000
const afterPorts = 32_768
const mostTries = 1000

async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = []
  for (let tries = 0; servers.length < count; tries++) {
    const port = tries < mostTries ? randomInt(firstPort, afterPorts) : 0
    const server = await listen(port).catch((error: unknown) => {
      if (port === 0) throw error
      return undefined // it is taken
    })
    if (server) servers.push(server)
  }
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

async function preferredPort(port: number): Promise<number> {
  try {
    const server = await listen(port)
    await new Promise((resolve) => server.close(resolve))
    return port
  } catch {
    return (await freePorts(1))[0]!
  }
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(port, "127.0.0.1", () => resolve(server))
  })
}
