/** Recovery kits over places in memory, for tests of what is done with them. */
import { createMemoryBackend } from "@holdfast/backends"
import * as kits from "@holdfast/client/kits"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv as env } from "@holdfast/core/node"
import { type Backend, decodeRecoveryPart, type RecoverySecrets } from "@holdfast/protocol"

/** Empty places. */
export function emptyPlaces(count: number): Backend[] {
  return Array.from({ length: count }, (_, i) => createMemoryBackend(`p${i}`, crypto))
}

/** Secrets of a kit over so many places. */
export function secretsFor(count: number, createdMs = 1): RecoverySecrets {
  return {
    ...{ createdMs, volume: "v", places: Array.from({ length: count }, (_, i) => `p${i}`) },
    ...{ convergenceSecret: new Uint8Array(crypto.random(32)), volumes: [], seen: "", localAliases: [] },
    ...{ aliases: new Map(), aliasVolumes: new Map(), bucketKeys: new Map(), kits: new Map(), others: new Map() },
  }
}

/** A kit that two of its parts restore, laid into the register of `seed`; its id. */
export async function lay(backends: readonly Backend[], seed: Uint8Array, master?: Uint8Array): Promise<string> {
  const at = { env, backends }
  const parts = await kits.makeKit(crypto, secretsFor(backends.length), { threshold: 2, master })
  await kits.writeParts(at, seed, { parts, answers: await kits.readParts(at, seed) })
  return toHex(decodeRecoveryPart(parts[0]!).kitId)
}

/** What each place holds in the register of `seed`. */
export async function statesAt(backends: readonly Backend[], seed: Uint8Array): Promise<string[]> {
  return (await kits.readParts({ env, backends }, seed)).map(({ state }) => state)
}

/** A place that cannot be asked, and takes what it is given. */
export function unreadable(backend: Backend): Backend {
  return { ...backend, readRegisters: () => Promise.reject(new Error("connection reset")) }
}
