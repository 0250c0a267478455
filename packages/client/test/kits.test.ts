/** The order in which kits are made, told and erased: whatever ends in the middle, its owner has a kit whose words he was told. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend, createMemoryPlace } from "@holdfast/backends"
import {
  chooseKit,
  goodParts,
  groupParts,
  type KitKeys,
  type KitMemory,
  type KnownKit,
  kitSeed,
  layKit,
  makeKit,
  readParts,
} from "@holdfast/client/kits"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv as env } from "@holdfast/core/node"
import { accountRoles, type Backend, type RecoverySecrets, registerIdOf } from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"

interface State {
  keys: KitKeys
  known: KnownKit[]
  readonly told: Uint8Array[]
  /** Seeds of registers in the account's list, and those that were there when a place was first given something. */
  readonly listed: string[]
  listedBefore?: string[]
  /** Seeds of what was to stay in the list. */
  staying?: readonly Uint8Array[]
}

/** A device whose process may end before any of its steps. */
function device() {
  const state: State = { keys: { places: [], erase: [] }, known: [], told: [], listed: [] }
  const steps = { left: Number.POSITIVE_INFINITY }
  const step = async () => {
    if (steps.left-- <= 0) await new Promise(() => undefined)
  }
  const memory = (): KitMemory => ({
    before: state.keys,
    known: [...state.known],
    async setKeys(keys) {
      await step()
      state.keys = keys
    },
    async remember({ id, missing }) {
      await step()
      const ids = [id, ...(state.known[0]?.ids ?? []).filter((one) => one !== id)]
      state.known = [{ name: "main", volume: "v", format: 2, ids, missing }]
    },
    async list(seed) {
      await step()
      state.listed.push(toHex(seed))
    },
    async unlist(stay) {
      await step()
      state.staying = stay
    },
  })
  return { state, steps, step, memory }
}

type Device = ReturnType<typeof device>

const places = (count: number) => Array.from({ length: count }, (_, i) => createMemoryBackend(`p${i}`, crypto))

function secretsOf(backends: readonly Backend[], createdMs: number): RecoverySecrets {
  return {
    ...{ createdMs, volume: "v", places: backends.map(({ id }) => id), convergenceSecret: crypto.random(32) },
    ...{ aliases: new Map(), aliasVolumes: new Map(), localAliases: [], volumes: [], seen: "", bucketKeys: new Map() },
    ...{ kits: new Map(), others: new Map() },
  }
}

/** Makes a kit; the calls to places are steps too. */
async function make(
  own: Device,
  backends: readonly Backend[],
  { master, nowMs = 1, mode = "crash" }: { master: Uint8Array; nowMs?: number; mode?: "crash" | "byzantine" },
) {
  const stepped = backends.map(
    (backend): Backend => ({
      ...backend,
      proposeRegisters: async (...args) => {
        await own.step()
        own.state.listedBefore ??= [...own.state.listed]
        return backend.proposeRegisters(...args)
      },
    }),
  )
  const parts = async (afterMs: number) =>
    makeKit(crypto, secretsOf(backends, Math.max(nowMs, afterMs + 1)), {
      threshold: backends.length - quorumOf(backends.length, mode) + 1,
      master,
    })
  const tell = async () => void own.state.told.push(master)
  const kit = { name: "main", volume: "v", mode, master, replace: false, parts, tell } as const
  return layKit({ env, backends: stepped }, kit, own.memory())
}

async function restores(backends: readonly Backend[], master: Uint8Array) {
  return (await restoredFrom(backends, master)).secrets
}

async function restoredFrom(backends: readonly Backend[], master: Uint8Array) {
  const hidden = groupParts(goodParts(await readParts({ env, backends }, kitSeed("main", master))))
  const { kit } = await chooseKit(crypto, { hidden, open: [] }, { name: "main", secret: { master } })
  return { id: kit.id, parts: kit.parts.size, secrets: kit.secrets, convergenceSecret: kit.secrets.convergenceSecret }
}

/** Resolves when `work` has ended or waits for ever. */
async function settled(work: Promise<unknown>): Promise<boolean> {
  let isOver = false
  work.then(
    () => {
      isOver = true
    },
    () => {
      isOver = true
    },
  )
  await new Promise((resolve) => setTimeout(resolve, 60))
  return isOver
}

test("wherever the making of a kit with new words ends, the words told last restore, and the next run leaves no other", async () => {
  let isOver = false
  for (let steps = 0; !isOver; steps++) {
    const [backends, own] = [places(3), device()]
    await make(own, backends, { master: crypto.random(32) })
    own.steps.left = steps
    const second = crypto.random(32)
    isOver = await settled(make(own, backends, { master: second }))
    await restores(backends, own.state.told.at(-1)!)
    own.steps.left = Number.POSITIVE_INFINITY
    const master = crypto.random(32)
    const { left } = await make(own, backends, { master })
    assert.deepEqual([left.failed, left.pending], [[], []])
    await restores(backends, master)
    for (const earlier of [...own.state.told.slice(0, -1), second])
      await assert.rejects(restores(backends, earlier), { code: "ERR_NOT_FOUND" }, `${steps} steps`)
  }
})

test("while it is not known which words were told, no kit is made with the same ones", async () => {
  const [backends, own] = [places(3), device()]
  await make(own, backends, { master: crypto.random(32) })
  const first = own.state.keys.master
  for (let steps = 0; own.state.told.length === 1; steps++) {
    own.steps.left = steps
    await settled(make(own, backends, { master: crypto.random(32) }))
    if (own.state.told.length === 1) assert.ok([first, undefined].includes(own.state.keys.master))
  }
  assert.equal(own.state.keys.master, undefined)
  assert.equal(own.state.keys.erase.length >= 2, true)
})

test("a kit that lies on too few places is written over only when the missing one takes a part first", async () => {
  const [backends, own, master] = [places(3), device(), crypto.random(32)]
  const away = (at: number) =>
    backends.map((backend, i): Backend => {
      const fail = () => Promise.reject(new Error("connection reset"))
      return i === at ? { ...backend, readRegisters: fail, proposeRegisters: fail } : backend
    })
  const { places: first } = await make(own, away(2), { master })
  assert.deepEqual(
    first.map(({ why }) => why),
    [undefined, undefined, "connection reset"],
  )
  const before = (await restores(backends, master)).convergenceSecret
  await assert.rejects(make(own, away(2), { master }), { code: "ERR_NO_QUORUM", message: /the kit before/ })
  assert.deepEqual((await restores(backends, master)).convergenceSecret, before)
  for (let steps = 2, isOver = false; !isOver; steps++) {
    own.steps.left = steps
    isOver = await settled(make(own, backends, { master }))
    await restores(backends, master)
  }
  own.steps.left = Number.POSITIVE_INFINITY
  await make(own, away(2), { master }) // it lies on all now
  assert.notDeepEqual((await restores(backends, master)).convergenceSecret, before)
})

test("a device that does not know that silent places hold a part lets a kit stay that would not restore without them", async () => {
  const [backends, maker, master] = [places(5), device(), crypto.random(32)]
  const fail = () => Promise.reject(new Error("connection reset"))
  const away = backends.map((backend, i): Backend => {
    return i < 3 ? backend : { ...backend, readRegisters: fail, proposeRegisters: fail }
  })
  await make(maker, backends, { master })
  const { id, convergenceSecret } = await restoredFrom(backends, master)
  const other = device()
  other.state.known = [{ name: "main", volume: "v", format: 2, ids: [id], missing: ["p3", "p4"] }]
  await assert.rejects(make(other, away, { master }), { code: "ERR_NO_QUORUM", message: /are known to have/ })
  assert.deepEqual((await restores(backends, master)).convergenceSecret, convergenceSecret)
  await make(maker, away, { master }) // which knows that all have it
  assert.notDeepEqual((await restores(backends, master)).convergenceSecret, convergenceSecret)
})

test("of two devices that make a kit with the same words at once one stops at the first place, and one kit restores", async () => {
  const [backends, a, b, master] = [places(5), device(), device(), crypto.random(32)]
  await make(a, backends, { master })
  b.state.known = [...a.state.known]
  const proposals = new Map<Device, number>()
  const counted = (own: Device) =>
    backends.map(
      (backend): Backend => ({
        ...backend,
        proposeRegisters: (...args) => {
          proposals.set(own, (proposals.get(own) ?? 0) + 1)
          return backend.proposeRegisters(...args)
        },
      }),
    )
  const made = await Promise.allSettled([
    make(a, counted(a), { master, nowMs: 5 }),
    make(b, counted(b), { master, nowMs: 5 }),
  ])
  const stopped = made.flatMap((one) => (one.status === "rejected" ? [one.reason] : []))
  assert.deepEqual([...proposals.values()].sort(), [1, 5])
  assert.match(String(stopped[0]), /another device makes this kit at the same time/)
  assert.equal((await restoredFrom(backends, master)).parts, 5)
})

test("a kit that replaces another is of a later time, whatever clock made it", async () => {
  const [backends, own, master] = [places(3), device(), crypto.random(32)]
  await make(own, backends, { master, nowMs: 5_000_000 })
  await make(own, backends, { master, nowMs: 7 })
  assert.equal((await restores(backends, master)).createdMs, 5_000_001)
})

test("a kit that another device makes meanwhile with the words before stays, is named, and stays listed", async () => {
  const [a, b] = [device(), device()]
  const backends = places(3)
  const [words, newWords] = [crypto.random(32), crypto.random(32)]
  await make(a, backends, { master: words })
  Object.assign(b.state, { keys: a.state.keys, known: [...a.state.known] })
  let meanwhile: Promise<unknown> | undefined
  const besides = backends.map(
    (backend): Backend => ({
      ...backend,
      async proposeRegisters(...args) {
        meanwhile ??= make(a, backends, { master: words, nowMs: 5 })
        await meanwhile
        return backend.proposeRegisters(...args)
      },
    }),
  )
  const { left } = await make(b, besides, { master: newWords, nowMs: 9 })
  assert.equal((await restores(backends, words)).createdMs, 5)
  assert.equal((await restores(backends, newWords)).createdMs, 9)
  assert.deepEqual(
    left.failed.map(({ place }) => place),
    ["p0", "p1", "p2"],
  )
  assert.ok(left.failed.every(({ why }) => /another device made a kit there/.test(why)))
  assert.deepEqual(b.state.keys.erase, [], "it is not erased later either")
  assert.deepEqual(b.state.staying?.map(toHex), [toHex(kitSeed("main", words))])
})

test("places that lie about their part and others that were full bring no older kit back", async () => {
  const [backends, own, master] = [places(7), device(), crypto.random(32)]
  const mode = "byzantine"
  await make(own, backends, { master, mode })
  const old = places(7)
  for (const [i, { readRegisters }] of backends.entries()) {
    const [bytes] = await readRegisters([registerIdOf(await crypto.publicKeyOf(kitSeed("main", master)))])
    await old[i]!.proposeRegisters([bytes!])
  }
  const full = async () => [{ accepted: false as const, message: "The quota of 1000 bytes is used up." }]
  const someFull = backends.map((backend, i): Backend => (i < 2 ? { ...backend, proposeRegisters: full } : backend))
  const { places: laid } = await make(own, someFull, { master, mode, nowMs: 9 })
  assert.equal(laid.filter(({ why }) => why === undefined).length, 5)
  const lying = backends.map((backend, i) => (i < 5 ? backend : old[i]!))
  assert.equal((await restores(lying, master)).createdMs, 9)
})

test("a run that died after it gave places their parts is known to the next one", async () => {
  const [backends, own, master] = [places(3), device(), crypto.random(32)]
  await make(own, backends, { master })
  for (let steps = 0, isOver = false; !isOver; steps++) {
    own.steps.left = steps
    isOver = await settled(make(own, backends, { master }))
    own.steps.left = Number.POSITIVE_INFINITY
    await make(own, backends, { master })
  }
})

test("a kit is in the account's list before it lies anywhere", async () => {
  const [backends, own, master] = [places(3), device(), crypto.random(32)]
  await make(own, backends, { master })
  assert.deepEqual(own.state.listedBefore, [toHex(kitSeed("main", master))])
})

test("a kit that places have no room for under a quota is refused as that", async () => {
  const account = { account: crypto.random(32), roles: accountRoles }
  const small = Array.from({ length: 3 }, (_, i) =>
    createMemoryPlace(`n${i}`, crypto, { quotaBytes: 500 }).backendOf(account),
  )
  await assert.rejects(make(device(), small, { master: crypto.random(32) }), {
    code: "ERR_QUOTA_EXCEEDED",
    message: /Only 0 of the 2 places needed took their part.*quota of 500 bytes/,
  })
})

test("a kit counts as made only when a quorum took its part, and else nobody is told of it", async () => {
  const [backends, own] = [places(5), device()]
  const refuse = async () => [{ accepted: false as const, message: "it is full" }]
  const full = backends.map((backend, i): Backend => (i < 3 ? { ...backend, proposeRegisters: refuse } : backend))
  const made = make(own, full, { master: crypto.random(32) })
  await assert.rejects(made, { code: "ERR_NO_QUORUM", message: /2 of the 3 places needed took/ })
  assert.deepEqual(own.state.told, [])
})

test("a kit that needs most places counts as made only when lying ones can hold back their part", async () => {
  const [own, backends] = [device(), places(5)]
  const refuse = async () => [{ accepted: false as const, message: "it is full" }]
  const oneFull = backends.map((backend, i): Backend => (i > 0 ? backend : { ...backend, proposeRegisters: refuse }))
  const kit = (on: readonly Backend[], told: () => void) => ({
    name: "main",
    volume: "v",
    mode: "byzantine" as const,
    replace: false,
    parts: (afterMs: number) => makeKit(crypto, secretsOf(on, afterMs + 1), { threshold: 4 }),
    tell: async () => told(),
  })
  const refused = layKit({ env, backends: oneFull }, kit(oneFull, assert.fail), own.memory())
  await assert.rejects(refused, { code: "ERR_NO_QUORUM", message: /4 of the 5 places needed took/ })

  const { places: laid } = await layKit(
    { env, backends },
    kit(backends, () => undefined),
    own.memory(),
  )
  assert.ok(laid.every(({ why }) => why === undefined))
  const without = (i: number) => backends.filter((_, j) => j !== i)
  for (const i of backends.keys()) {
    const open = groupParts(goodParts(await readParts({ env, backends: without(i) }, kitSeed("main", undefined))))
    assert.equal((await chooseKit(crypto, { hidden: [], open }, { name: "main" })).kit.parts.size, 4)
  }
})
