/** The golden volume read by Holdfast itself, in Node and in a page alike. */
import { createMemoryBackend } from "@holdfast/backends"
import { assert, type Env, toHex } from "@holdfast/core"
import { decodeCap, type ReadCap } from "@holdfast/protocol"
import { createStore, forgetfulSeen, type Store } from "@holdfast/store"
import { mutableFileOf, openJunction, openTree, readFile, walk } from "@holdfast/tree"

/** A line of expected.json. */
export interface Found {
  readonly path: string
  readonly kind: string
  readonly mode: number
  readonly mtimeNs: string
  readonly size: number
  readonly sha256?: string
  readonly target?: string
}

/** What one server of the volume holds. */
export interface GoldenServer {
  readonly shares: readonly Uint8Array[]
  readonly registers: readonly Uint8Array[]
}

/** Reads all of the volume that `cap` opens from what the servers hold. */
export async function readGolden(env: Env, cap: string, held: readonly GoldenServer[]): Promise<Found[]> {
  const servers = await Promise.all(
    held.map(async ({ shares, registers }, index) => {
      const backend = createMemoryBackend(`server-${index}`, env.crypto)
      assert(
        (await backend.putShares(shares, { batch: env.crypto.random(16) })).every(({ ok }) => ok),
        "a golden share was refused",
      )
      const proposed = await backend.proposeRegisters(registers)
      assert(
        proposed.every(({ accepted }) => accepted),
        "a golden register was refused",
      )
      return { backend, weight: 1 }
    }),
  )
  const store = await createStore({
    env,
    servers,
    coding: { k: 3, happy: 3, n: 5 },
    registerMode: "crash",
    seen: forgetfulSeen,
  })
  const found = await findAll(env, store, cap)
  await store.close()
  return found
}

/** Reads all that `cap` opens in a store. */
export async function findAll(env: Env, store: Store, cap: string): Promise<Found[]> {
  const found: Found[] = []
  const open = (keys: ReadCap) => openTree({ chunks: store.chunks, registers: store.registers, env, keys })
  const collect = async (keys: ReadCap, prefix: string): Promise<void> => {
    const tree = await open(keys)
    for await (const { path, entry: own } of walk(tree.io, await tree.root())) {
      const linked = own.kind === "junction" ? ((await openJunction(env.crypto, undefined, own)) as ReadCap) : undefined
      const entry = linked?.kind === "fr" ? await mutableFileOf(tree.io, await (await open(linked)).root()) : own
      const { kind, mode, mtimeNs, size } = entry
      const line = { path: prefix + path.join("/"), kind, mode, mtimeNs: String(mtimeNs), size }
      if (entry.kind === "file") {
        const parts: Uint8Array[] = []
        for await (const part of readFile(tree.io, entry)) parts.push(part)
        found.push({ ...line, sha256: toHex(await env.crypto.sha256(...parts)) })
      } else found.push(entry.kind === "symlink" ? { ...line, target: entry.target } : line)
      if (linked?.kind === "dr") await collect(linked, `${line.path}/`)
    }
  }
  await collect(decodeCap(cap) as ReadCap, "")
  return found
}
