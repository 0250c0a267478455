/**
 * An account that takes all it can get beside others of its tenant: shares until its quota is used up, registers, and marks on what
 * others hold, on behalf of accounts that nobody has. Nodes hold it to its quota and others go on; when the administrator drops it,
 * what it held goes and nothing else.
 */
import { isHoldfastError } from "@holdfast/core"
import { signStatement } from "@holdfast/protocol"
import { emptyCare, encodeCare } from "@holdfast/tree"
import { createAccount } from "./accounts.ts"
import { checkStep } from "./claims.ts"
import type { Random } from "./random.ts"
import type { Role } from "./role.ts"
import { accountQuotaBytes, administratorSeed } from "./roles.ts"
import { SimulatedServer } from "./server.ts"
import type { World } from "./world.ts"

/** Nodes act on a drop after seven days at the earliest. */
const dropMs = 8 * 86_400_000
const mostCalls = 20_000
const pieceBytes = 1_500_000

/** The role `hoarder` of a world. */
export async function createHoarder(world: World): Promise<Role> {
  const { servers, faulty, fail, shape } = world
  const chance = world.random.fork("hoarder")
  const crypto = { ...world.env.crypto, random: (length: number) => chance.bytes(length) }
  const account = await createAccount(crypto, "hoarder")
  const client = await world.newClient("hoarder", account, { crypto })
  const nodes = servers.filter((server): server is SimulatedServer => server instanceof SimulatedServer)
  const honest = nodes.filter(({ id }) => !faulty.has(id))

  /** Chunk after chunk until nobody takes more. */
  const fill = async () => {
    for (let chunks = 0; chunks < 12; chunks++)
      try {
        await client.store.chunks.putChunk(new Uint8Array(Math.min(shape.coding.k * pieceBytes, 4 * 1024 * 1024)))
      } catch (error) {
        if (!isHoldfastError(error)) throw error
        return `${chunks} chunks, then ${error.code}`
      }
    return "12 chunks"
  }
  const register = async () => {
    for (let i = 0; i < 10; i++) {
      const seed = crypto.random(32)
      const keys = { seed, publicKey: await crypto.publicKeyOf(seed), readKey: crypto.random(32) }
      await client.store.registers.write(keys, 0, { content: crypto.random(30_000), care: encodeCare(emptyCare) })
    }
    return "10 registers"
  }
  const mark = async (random: Random) => {
    const ids = await random
      .pick(world.trees)
      .oracle.live()
      .catch(() => [])
    const accounts = Array.from({ length: 64 }, () => crypto.random(32))
    const batch = crypto.random(16)
    const marked = client.store.backends.map((backend) =>
      backend.markShares(ids, { batch, accounts }).catch((error: unknown) => ignored(error)),
    )
    return `${(await Promise.all(marked)).filter(Boolean).length} places mark ${ids.length} chunks for 64 more`
  }
  return {
    async act(random) {
      client.allow(mostCalls)
      const kind = random.weighted({ fill: 3, register: 2, mark: 2 })
      return kind === "fill" ? fill() : kind === "register" ? register() : mark(random)
    },
    async calm(random) {
      client.allow(mostCalls)
      return `${await fill()}, ${await register().catch((error: unknown) => ignored(error))}, ${await mark(random)}`
    },
    async check() {
      for (const node of honest) {
        const bytes = node.bytesOf(account.id)
        if (bytes > accountQuotaBytes)
          fail("no account holds more than its quota", `${node.id} holds ${bytes} bytes for ${account.name} alone`)
      }
    },
    async end({ wait, pass }) {
      const statement = { tenant: "tenant", account: account.id, serial: 1, drops: true }
      const encoded = await signStatement(crypto, administratorSeed(world.random), statement)
      for (const node of honest) await wait(`${node.id} hears of a drop`, node.takeStatement(encoded, account.id))
      await pass(dropMs + Math.max(0, ...honest.map(({ behindMs }) => behindMs)))
      for (const node of honest) await wait(`${node.id} finishes drops`, node.finishDrops())
      for (const node of honest) {
        const left = node.leftOf(account.id)
        if (left > 0) fail("what a dropped account held goes", `${node.id} has ${left} marks for ${account.name}`)
      }
      await checkStep(world, true)
    },
  }
}

function ignored(error: unknown): undefined {
  if (!isHoldfastError(error)) throw error
}
