/**
 * Malicious writers, who have the keys of a tree: chunks whose shares do not follow from one content, and histories that branch
 * off far back. They act on their own when all else is over, so that no other claim has to allow for them.
 */
import { createMemoryBackend } from "@holdfast/backends"
import { BufferPool, HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { registerIdOf } from "@holdfast/protocol"
import { createMemorySeen, createRegisterStore } from "@holdfast/store"
import { makeTwoFaced } from "@holdfast/store/testing"
import type { SimulatedClient } from "./client.ts"
import type { Fail } from "./history.ts"
import type { Random } from "./random.ts"
import type { SimulatedTree } from "./trees.ts"
import type { World } from "./world.ts"

const readers = 6
/** A history is forged over so many versions at most. */
const mostForged = 400

/** Whatever servers a reader hears, it takes one content of a chunk or none. */
export async function checkOnePlaintext(world: World, client: SimulatedClient, random: Random): Promise<void> {
  const { k, n } = world.shape.coding
  if (k >= n) return
  const deps = {
    crypto: client.env.crypto,
    erasure: await createErasure(),
    buffers: new BufferPool({ maxIdleBytes: 0 }),
  }
  const faces = Array.from({ length: n }, () => random.between(0, 1))
  const plaintexts = [1, 2].map((fill) => new Uint8Array(600).fill(fill))
  const chunk = await makeTwoFaced(deps, { k, n }, plaintexts, faces, random.pick([1, 2]))
  const batch = client.env.crypto.random(16)
  await Promise.all(
    chunk.shares.map((share, i) =>
      client.store.backends[i]!.putShares([share], { batch }).catch((error: unknown) => ignored(error)),
    ),
  )
  const accepted = new Set<string>()
  for (let i = 0; i < readers; i++) {
    const heard = random.some(world.servers, k).map(({ id }) => id)
    for (const { id } of world.servers) world.network.setCut(client.id, id, !heard.includes(id))
    const plaintext = await client.store.chunks.getChunk(chunk).catch((error: unknown) => ignored(error))
    if (plaintext) accepted.add(toHex(plaintext.subarray(0, 600)))
    await client.env.clock.sleep(minuteMs) // who was silent is asked again
  }
  world.network.mend()
  await client.env.clock.sleep(3 * minuteMs) // places that were cut off last are left alone for a while
  if (accepted.size > 1) world.fail("one chunk has one plaintext", `${client.id} was shown ${accepted.size}`)
}

const minuteMs = 60_000

function ignored(error: unknown): undefined {
  if (!isHoldfastError(error)) throw error
}

/** A value of the shared tree's register, as a writer kept it. */
export interface OldValue {
  readonly sequence: number
  readonly bytes: Uint8Array
}

/**
 * A writer goes on from `old` as if nothing had come after it, and hands a longer history than the true one to every place. Who has
 * seen the true one stops, whatever places say.
 */
export async function checkForkIsSeen(
  { fail, newClient, accounts }: World,
  tree: SimulatedTree,
  { old, client }: { readonly old: OldValue; readonly client: SimulatedClient },
): Promise<void> {
  const before = await client.tree(tree).versions()
  const sequence = before[0]!.sequence
  if (sequence <= old.sequence || sequence - old.sequence > mostForged) return
  const thief = await newClient("thief", accounts[0]!)
  thief.allow(20_000)
  const forged = await forge(thief, tree, old, sequence + 1)
  const offered = thief.store.backends.map((backend) =>
    backend.proposeRegisters([forged], {}).catch((error: unknown) => ignored(error)),
  )
  if (!(await Promise.all(offered)).some((outcomes) => outcomes?.[0]?.accepted)) return
  client.forget()
  await expectStop(client, tree, { fail, fork: `from ${old.sequence}, ${sequence} was known` })
}

async function forge(
  { env, store }: SimulatedClient,
  { keys }: SimulatedTree,
  old: OldValue,
  until: number,
): Promise<Uint8Array> {
  const backend = createMemoryBackend("forge", env.crypto, { nowMs: () => env.clock.nowMs() })
  await backend.proposeRegisters([old.bytes], { batch: env.crypto.random(16) })
  const registers = createRegisterStore({
    ...{ env, backends: [backend], mode: "crash", seen: createMemorySeen(), chunks: store.chunks },
  })
  for (;;) {
    const value = await registers.read(keys)
    if (!value) throw new HoldfastError("ERR_CORRUPT", "The forger's own value is gone.")
    if (value.sequence >= until) break
    await registers.write(keys, value.sequence, { content: value.content, care: value.care })
  }
  const [bytes] = await backend.readRegisters([registerIdOf(keys.publicKey)])
  return bytes!
}

/** Errors by which a client says that the history it is offered does not go on from what it has seen. */
const alarms: ReadonlySet<string> = new Set(["ERR_UNPROVEN", "ERR_FORK", "ERR_ROLLBACK"])

async function expectStop(
  client: SimulatedClient,
  tree: SimulatedTree,
  { fail, fork }: { readonly fail: Fail; readonly fork: string },
): Promise<void> {
  try {
    await client.tree(tree).root()
    fail("no history forks unseen", `${client.id} goes on with a fork ${fork}`)
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    if (!alarms.has(error.code)) fail("no history forks unseen", `${client.id} says ${error.code} of a fork ${fork}`)
  }
}
