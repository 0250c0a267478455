/**
 * Accounts that make, replace and use recovery kits over the places of the world, with the code of the product: devices that die
 * between places, two at once, words that change or do not, kits without words, strangers who restore with the words alone, and
 * devices that go on with what was restored.
 */
import {
  chooseKit,
  goodParts,
  groupParts,
  groupSizes,
  type KitKeys,
  type KitMemory,
  type KnownKit,
  kitThreshold,
  layKit,
  makeKit,
  type OpenedKit,
  readParts,
  seedsOf,
} from "@holdfast/client/kits"
import { equal, fromHex, isHoldfastError, toHex } from "@holdfast/core"
import {
  decodeRecoveryPart,
  encodeCap,
  openRecoveryRegisterSeed,
  type RecoverySecrets,
  recoveryRegisterSeed,
} from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"
import { changeList, createAccount, kitWord } from "./accounts.ts"
import type { SimulatedClient } from "./client.ts"
import { type Attempt, KitLedger, type Lair, type Paper } from "./kit-ledger.ts"
import type { Random } from "./random.ts"
import { type Driver, occupy, type Role } from "./role.ts"
import { treesOf } from "./tasks.ts"
import type { World } from "./world.ts"

/** Calls that making or restoring a kit needs at most. */
const mostCalls = 2000
/** Typical time of a write to a device's own disk. */
const writeMs = 2

/** What a device has on its disk, and its owner on paper. */
interface Keeper {
  readonly client: SimulatedClient
  readonly keys: Map<string, KitKeys>
  readonly known: KnownKit[]
  readonly papers: Map<string, Paper>
  /** Its last making in each register where it began kits of a name, since it last took one over or left none behind. */
  readonly tried: Map<string, Map<Lair, Attempt>>
  attempt?: Attempt
}

/** A kit that was restored, and the places of which it is not known that they hold a part of it. */
interface Restored {
  readonly kit: OpenedKit
  readonly missing: readonly string[]
}

/** How a kit is to be protected. */
type Wish = "same" | "new" | "none"

/** The role `kits` of a world. */
export async function createKits(world: World): Promise<Role> {
  const { servers, shape, clients, fail, time, env } = world
  const ledger = new KitLedger(world)
  const faults = servers.length - quorumOf(servers.length, shape.mode)
  const marks = credentials(world)
  const parties = partiesBy(world, marks)
  const keepers = new Map(clients.map((client): [string, Keeper] => [client.id, newKeeper(client)]))
  const stranger = await world.newClient("stranger", await createAccount(env.crypto, "stranger"))

  const make = async (keeper: Keeper, name: string, { wish, replace }: { wish: Wish; replace: boolean }) => {
    const { client, keys, papers } = keeper
    const before = keys.get(name) ?? { places: [], erase: [] }
    const kept = wish === "same" && before.master !== undefined ? fromHex(before.master) : undefined
    const master = wish === "none" ? undefined : (kept ?? env.crypto.random(32))
    const sizes = groupSizes(marks)
    const isProtected = master !== undefined
    const extent = kitThreshold({ places: servers.length, faults, parties: sizes, isProtected })
    if (!extent) return "too few parties"
    const attempt = await ledger.begin(client.account, name, master)
    keeper.attempt = attempt
    const tried = keeper.tried.get(name) ?? new Map<Lair, Attempt>()
    const triedBefore = tried.get(attempt.lair)
    keeper.tried.set(name, tried.set(attempt.lair, attempt))
    if (isProtected) await ledger.releaseKit(name, undefined)
    const parts = async (afterMs: number) => {
      const createdMs = Math.max(client.env.clock.nowMs(), afterMs + 1)
      const secrets = secretsOf(world, keeper, { createdMs, kit: [name, master] })
      const made = await makeKit(env.crypto, secrets, { threshold: extent.threshold, master })
      attempt.mark = secrets.convergenceSecret
      attempt.id = toHex(decodeRecoveryPart(made[0]!).kitId)
      return made
    }
    const tell = async () => {
      const old = papers.get(name)
      if (old && old.lair !== attempt.lair) ledger.release(old)
      // Words that came to this device in another kit are its owner's too: who makes new ones has done with them.
      if (before.master !== undefined && before.master !== (master && toHex(master)))
        await ledger.releaseKit(name, fromHex(before.master))
      ledger.tell(attempt)
      papers.set(name, { lair: attempt.lair, account: client.account })
      if (!isProtected) await ledger.checkParties(attempt, parties, faults)
    }
    const at = { env: client.env, backends: client.backends }
    const kit = { name, volume: "world", mode: shape.mode, master, replace, parts, tell }
    const { places, left } = await layKit(at, kit, memoryOf(keeper, name)).catch((error: unknown) => {
      // Refused before anything was laid: what lies there is whose it was.
      if (isHoldfastError(error, "ERR_ALREADY_EXISTS")) {
        if (triedBefore) tried.set(attempt.lair, triedBefore)
        else tried.delete(attempt.lair)
      }
      throw error
    })
    const named = left.failed.map(({ place }) => place)
    attempt.isRunning = false
    await ledger.checkErased(attempt, tried, named)
    // What another device of the owner lays there from now on is not this one's to erase.
    if (named.length === 0) keeper.tried.set(name, new Map([[attempt.lair, attempt]]))
    const taken = places.filter(({ why }) => why === undefined).length
    return `${wish} ${name} at ${taken} of ${places.length}, ${left.failed.length} places named`
  }

  const restored = async (client: SimulatedClient, { lair, account }: Paper): Promise<Restored> => {
    const at = { env: client.env, backends: client.backends }
    const { name, master } = lair
    const hidden = master ? goodParts(await readParts(at, recoveryRegisterSeed(master))) : []
    const open = goodParts(await readParts(at, openRecoveryRegisterSeed(name)))
    const held = { hidden: groupParts(hidden), open: groupParts(open) }
    const { kit } = await chooseKit(env.crypto, held, { name, secret: master && { master } })
    if (kit.secrets.others.get("accountSeed") && !equal(kit.secrets.others.get("accountSeed")!, account.seed))
      fail("nobody restores what was never in a kit", `${client.id} is given another account's seed`)
    const holders = [...hidden, ...open].filter(({ part }) => toHex(part.kitId) === kit.id).map(({ place }) => place)
    return { kit, missing: servers.map(({ id }) => id).filter((id) => !holders.includes(id)) }
  }

  /** Somebody who has nothing but the paper. */
  const use = async (client: SimulatedClient, paper: Paper, isLast: boolean): Promise<Restored> => {
    const found = await restored(client, paper)
    ledger.checkRestored(paper, found.kit, isLast)
    return found
  }

  /** A device goes on with what was restored. */
  const adopt = async (keeper: Keeper, paper: Paper) => {
    const { kit: taken, missing } = await use(keeper.client, paper, false)
    const { id, secrets } = taken
    const { name, master } = paper.lair
    for (const [key, other] of secrets.kits) {
      const kit = key.split("/")[1]!
      if (!keeper.keys.has(kit)) keeper.keys.set(kit, { places: [], erase: [], master: toHex(other) })
    }
    const erase = keeper.keys.get(name)?.erase ?? []
    keeper.tried.delete(name)
    keeper.keys.set(name, { ...(master && { master: toHex(master) }), places: secrets.places, erase })
    const old = keeper.papers.get(name)
    if (old && old.lair !== paper.lair) ledger.release(old) // it is one's own device, and forgets what it had
    keeper.papers.set(name, paper)
    note(keeper, { name, id, missing })
    return `${name} is taken over`
  }

  const papersOf = (client: SimulatedClient): Paper[] =>
    [...keepers.values()]
      .flatMap(({ papers }) => [...papers.values()])
      .filter(({ account }) => account === client.account)

  const actOf = async (keeper: Keeper, random: Random): Promise<string> => {
    const { client } = keeper
    const papers = papersOf(client)
    const kind = random.weighted({ make: 6, use: papers.length > 0 ? 2 : 0, adopt: papers.length > 0 ? 2 : 0 })
    const work = () => {
      if (kind === "use") return use(client, random.pick(papers), false).then(() => "restored")
      if (kind === "adopt") return adopt(keeper, random.pick(papers))
      const name = `${client.account.name}-${random.pick(["main", "main", "other"])}`
      const wish = random.weighted<Wish>({ same: 5, new: 3, none: 3 })
      return make(keeper, name, { wish, replace: random.chance(0.7) })
    }
    const ended = await occupy(world, client, { name: `kit ${kind}`, mostCalls }, work)
    if (keeper.attempt) keeper.attempt.isRunning = false // a process that died comes to no end
    return ended.replace(/[0-9a-f]{16,}/g, "…") // ids of kits come from chance of the library's own
  }

  return {
    async act(random) {
      const idle = clients.filter(({ task }) => task === undefined)
      const some = random.some(idle, random.chance(0.3) ? 2 : 1)
      const told = await Promise.all(some.map((one) => actOf(keepers.get(one.id)!, random.fork(one.id))))
      return told.join("; ") || "nobody has time"
    },
    check: () => ledger.check(),
    async calm() {
      let count = 0
      for (const { papers } of keepers.values())
        for (const paper of papers.values()) {
          if (paper.lair.owed.length === 0) continue
          stranger.allow(mostCalls)
          await use(stranger, paper, true)
          count++
        }
      return `a stranger restores ${count} kits`
    },
    end: (driver) => end(driver),
  }

  /** Everybody makes his kits anew, in the end with places away; nothing is left of those before. */
  async function end({ wait, pass }: Driver): Promise<void> {
    const random = world.random.fork("kits end")
    for (const keeper of keepers.values())
      for (const name of keeper.keys.keys()) {
        keeper.client.allow(mostCalls)
        const work = make(keeper, name, { wish: random.pick(["same", "new"]), replace: true })
        await wait(`${keeper.client.id} makes ${name}`, work)
        // A faulty place may still show what it held before, and take nothing over that.
        const left = keeper.keys.get(name)?.erase.flatMap(({ places }) => places) ?? []
        if (!world.failure && left.some((id) => !world.faulty.has(id)))
          fail("a kit that was replaced is erased or its place named", `${keeper.client.id} leaves ${name} behind`)
      }
    await ledger.check()
    if (world.failure) return
    const sound = servers.filter(({ id }) => !world.faulty.has(id))
    const away = random.some(sound, random.between(0, faults)).map(({ id }) => id)
    for (const id of away) world.network.setCut("stranger", id, true)
    const heard = servers.map(({ id }) => id).filter((id) => !away.includes(id))
    for (const { papers } of keepers.values())
      for (const paper of papers.values()) {
        const parts = await ledger.partsOwed(paper, heard)
        if (world.failure || !parts || parts.parts.size < parts.body.threshold) continue
        stranger.allow(mostCalls)
        await wait(`a stranger restores ${paper.lair.name}`, use(stranger, paper, true))
      }
    world.network.mend()
    await pass(180_000)
    time.tell(`kits were restored without ${away.join(" ") || "nobody"}`)
  }
}

function newKeeper(client: SimulatedClient): Keeper {
  return { client, keys: new Map(), known: [], papers: new Map(), tried: new Map() }
}

/** What of a device outlives its process. */
function memoryOf(keeper: Keeper, name: string): KitMemory {
  const { client, keys, known } = keeper
  const { env, listKeys, store } = client
  const written = () => env.clock.sleep(writeMs)
  let listed: string[] = []
  const words = async (more: readonly Uint8Array[]) => {
    const seeds = [...keys].flatMap(([kit, own]) => seedsOf(kit, own))
    return Promise.all([...seeds, ...more].map(async (seed) => kitWord(await env.crypto.publicKeyOf(seed))))
  }
  return {
    before: keys.get(name) ?? { places: [], erase: [] },
    known: [...known],
    async setKeys(next) {
      await written()
      keys.set(name, next)
    },
    async remember({ id, missing }) {
      await written()
      note(keeper, { name, id, missing })
    },
    async list(seed) {
      listed = await words([])
      await changeList(store.registers, listKeys, { add: [...listed, ...(await words([seed]))] })
    },
    async unlist(stay) {
      const kept = await words(stay)
      const remove = listed.filter((word) => !kept.includes(word))
      await changeList(store.registers, listKeys, { add: kept, remove })
    },
  }
}

function note(
  { known }: Keeper,
  { name, id, missing }: { name: string; id: string; missing: readonly string[] },
): void {
  const at = known.findIndex((one) => one.name === name)
  const ids = [id, ...(known[at]?.ids ?? []).filter((one) => one !== id)].slice(0, 8)
  const kit = { name, volume: "world", format: 2 as const, ids, missing }
  if (at < 0) known.push(kit)
  else known[at] = kit
}

function secretsOf(
  world: World,
  { client, keys }: Keeper,
  { createdMs, kit }: { readonly createdMs: number; readonly kit: readonly [string, Uint8Array | undefined] },
): RecoverySecrets {
  const masters = [...keys].flatMap(([name, { master }]): [string, Uint8Array][] =>
    master === undefined || name === kit[0] ? [] : [[`world/${name}`, fromHex(master)]],
  )
  return {
    createdMs,
    volume: "world",
    places: world.servers.map(({ id }) => id),
    convergenceSecret: world.env.crypto.random(32),
    aliases: new Map(
      treesOf(world, client).map((tree) => [tree.name, encodeCap({ kind: "dw", seed: tree.keys.seed })]),
    ),
    aliasVolumes: new Map(),
    localAliases: [],
    volumes: [],
    seen: "",
    bucketKeys: new Map(),
    kits: new Map(kit[1] ? [...masters, [`world/${kit[0]}`, kit[1]]] : masters),
    others: new Map([["accountSeed", client.account.seed]]),
  }
}

/** Who reads each place: all nodes belong to one grid, some buckets to one key. */
function credentials({ servers, random }: World): string[][] {
  const chance = random.fork("credentials")
  const shared = chance.chance(0.7)
  return servers.map(({ id, kind }) => [kind === "node" ? "grid" : shared && chance.chance(0.4) ? "key" : `key ${id}`])
}

/** Places by who reads them. */
function partiesBy({ servers }: World, marks: readonly string[][]): string[][] {
  const parties = new Map<string, string[]>()
  for (const [i, { id }] of servers.entries()) parties.set(marks[i]![0]!, [...(parties.get(marks[i]![0]!) ?? []), id])
  return [...parties.values()]
}
