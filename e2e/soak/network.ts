/**
 * Two machines of one host: network namespaces on a bridge. What runs in one reaches the host's servers by the bridge's address
 * and nothing else of the world; its cable can be drawn. Needs root and iproute2.
 */
import { execFile } from "node:child_process"
import { setTimeout as delay } from "node:timers/promises"
import { promisify } from "node:util"

const run = promisify(execFile)
const ip = (...args: string[]) => run("ip", args)

/** One of the machines. */
export interface Machine {
  readonly name: string
  /** What a command line on it begins with. */
  readonly via: readonly string[]
  /** Draws its cable for a while. */
  cut(ms: number): Promise<void>
}

/** Machines and the address at which they reach the host. */
export interface Network {
  readonly host: string
  readonly machines: readonly Machine[]
  close(): Promise<void>
}

/** What is missing here for namespaces; undefined when nothing is. */
export async function missingForNetwork(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "network namespaces need root"
  const probe = `hfp${process.pid}`
  try {
    await ip("netns", "add", probe)
    await ip("link", "add", probe, "type", "bridge")
    return undefined
  } catch (error) {
    return `network namespaces and bridges (iproute2): ${error instanceof Error ? error.message : String(error)}`
  } finally {
    await ip("link", "del", probe).catch(() => undefined)
    await ip("netns", "del", probe).catch(() => undefined)
  }
}

/** Makes the machines. Close the network in the end. */
export async function startNetwork(names: readonly string[]): Promise<Network> {
  const bridge = `hf${process.pid}`
  const subnet = `10.${201 + (process.pid % 50)}.${(process.pid >> 6) % 250}`
  const spaces = names.map((name) => `${bridge}-${name}`)
  const close = async () => {
    for (const space of spaces) await ip("netns", "del", space).catch(() => undefined)
    await ip("link", "del", bridge).catch(() => undefined)
  }
  try {
    await ip("link", "add", bridge, "type", "bridge")
    await ip("addr", "add", `${subnet}.1/24`, "dev", bridge)
    await ip("link", "set", bridge, "up")
    for (const [i, space] of spaces.entries()) {
      const cable = `${bridge}c${i}`
      await ip("netns", "add", space)
      await ip("link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", cable)
      await ip("link", "set", cable, "master", bridge, "up")
      await ip("-n", space, "link", "set", "lo", "up")
      await ip("-n", space, "addr", "add", `${subnet}.${i + 2}/24`, "dev", "eth0")
      await ip("-n", space, "link", "set", "eth0", "up")
    }
  } catch (error) {
    await close()
    throw error
  }
  const machines = names.map((name, i): Machine => {
    const cable = `${bridge}c${i}`
    return {
      name,
      via: ["ip", "netns", "exec", spaces[i]!],
      async cut(ms) {
        await ip("link", "set", cable, "down")
        await delay(ms)
        await ip("link", "set", cable, "up")
      },
    }
  })
  return { host: `${subnet}.1`, machines, close }
}
