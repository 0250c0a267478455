/** Which kits a new one takes away from its places, and which it leaves and names. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { eraseParts } from "@holdfast/client/kits"
import { fromHex, toHex } from "@holdfast/core"
import { nodeCrypto as crypto, nodeEnv as env } from "@holdfast/core/node"
import { type Backend, openRecoveryRegisterSeed, registerIdOf, signRegisterValue } from "@holdfast/protocol"
import { eraseEarlier, kitsBefore, type Successor } from "../src/kits/erase-kits.ts"
import type { KnownKit } from "../src/kits/kit-memory.ts"
import { emptyPlaces, lay, statesAt, unreadable } from "./kit-fixture.ts"

const openSeed = openRecoveryRegisterSeed("main")
const erased = ["erased", "erased", "erased", "erased"]
const parts = ["part", "part", "part", "part"]
const all = ["p0", "p1", "p2", "p3"]

/** What becomes of `earlier` and of the open kit when a kit with other words was made. */
async function erase(backends: readonly Backend[], more: Partial<Successor> = {}) {
  const at = { env, backends }
  const there = more.there ?? (await kitsBefore(at, "main", more.earlier ?? []))
  const earlier = (more.earlier ?? []).map((one) => ({ kits: there.get(one.seed) ?? [], ...one }))
  const plain = { name: "main", volume: "v", seed: crypto.random(32), known: [], replace: false }
  return eraseEarlier(at, { ...plain, ...more, there, earlier })
}

const knownKit = (ids: readonly string[], more: Partial<KnownKit> = {}): KnownKit => ({
  ...{ name: "main", volume: "v", ids, format: 2 },
  ...more,
})

test("a kit that everybody finds goes when it is this device's own, and else stays and is told", async () => {
  const backends = emptyPlaces(4)
  const id = await lay(backends, openSeed)
  const others = [[], [knownKit([id], { volume: "w" })], [knownKit([id], { name: "other" })], [knownKit(["00"])]]
  for (const known of others) {
    const left = await erase(backends, { known })
    assert.deepEqual([left.isForeignOpen, left.failed, left.pending], [true, [], []])
    assert.deepEqual(await statesAt(backends, openSeed), parts)
  }
  const left = await erase(backends, { known: [knownKit([id])] })
  assert.deepEqual([left.isForeignOpen, left.erased], [false, 4])
  assert.deepEqual(await statesAt(backends, openSeed), erased)
})

test("a kit of others goes when its owner says that it is to be replaced", async () => {
  const backends = emptyPlaces(4)
  await lay(backends, openSeed)
  assert.equal((await erase(backends, { replace: true })).isForeignOpen, false)
  assert.deepEqual(await statesAt(backends, openSeed), erased)
})

test("places that were away may hold a kit that this device once made for everybody to find: they are tried again", async () => {
  const backends = emptyPlaces(4)
  await lay(backends, openSeed)
  const { format: _, ...known } = knownKit(["00"])
  const left = await erase(backends.map(unreadable), { known: [known] })
  assert.deepEqual(left.pending, [{ seed: toHex(openSeed), places: all, kits: [] }])
  assert.equal(left.erased, 0)
})

test("a kit without words lies where the one before lay, and is not erased with it", async () => {
  const backends = emptyPlaces(4)
  const id = await lay(backends, openSeed)
  const earlier = [{ seed: toHex(openSeed), places: all }]
  const left = await erase(backends, { seed: openSeed, known: [knownKit([id])], earlier })
  assert.deepEqual(left, { ...{ erased: 0, failed: [], pending: [], staying: [] }, isForeignOpen: false })
  assert.deepEqual(await statesAt(backends, openSeed), parts)
})

test("of earlier kits those go that were there before or are this device's, and none that came since", async () => {
  const seed = crypto.random(32)
  const earlier = [{ seed: toHex(seed), places: all }]
  for (const [known, before, stays] of [
    [false, true, false],
    [true, false, false],
    [false, false, true],
  ]) {
    const backends = emptyPlaces(4)
    const id = await lay(backends, seed, crypto.random(32))
    const left = await erase(backends, {
      ...{ earlier, known: known ? [knownKit([id], { name: "another" })] : [] },
      ...(before ? {} : { there: new Map<string, string[]>() }),
    })
    assert.deepEqual(await statesAt(backends, seed), stays ? parts : erased)
    assert.deepEqual(left.staying.map(toHex), stays ? [toHex(seed)] : [])
    assert.deepEqual(
      left.failed.map(({ place }) => place),
      stays ? all : [],
    )
    assert.deepEqual(left.pending, [])
  }
})

test("places that are away are named once and tried again, those no longer of the volume are named", async () => {
  const backends = emptyPlaces(4)
  const seeds = [crypto.random(32), crypto.random(32)]
  for (const seed of seeds) await lay(backends, seed, crypto.random(32))
  const earlier = seeds.map((seed) => ({ seed: toHex(seed), places: [...all, "gone"] }))
  const there = await kitsBefore({ env, backends }, "main", earlier)
  const left = await erase([...backends.slice(0, 3), unreadable(backends[3]!)], { earlier, there })
  assert.deepEqual(left.failed.map(({ place }) => place).sort(), ["gone", "p3"])
  assert.deepEqual(
    left.pending,
    seeds.map((seed) => ({ seed: toHex(seed), places: ["p3"], kits: there.get(toHex(seed)) })),
  )
  assert.equal(left.erased, 3)
  assert.deepEqual(await statesAt(backends, fromHex(earlier[0]!.seed)), [...erased.slice(1), "part"])
})

test("a kit that came since where one is still to be erased at one place stays, and stays listed", async () => {
  const seed = crypto.random(32)
  const backends = emptyPlaces(4)
  const old = await lay(backends, seed, crypto.random(32))
  const since = await lay(backends.slice(0, 3), seed, crypto.random(32))
  assert.notEqual(since, old)
  const left = await erase(backends, { earlier: [{ seed: toHex(seed), places: ["p3"], kits: [old] }] })
  assert.deepEqual(await statesAt(backends, seed), [...parts.slice(1), "erased"])
  assert.deepEqual([left.failed, left.pending, left.staying.map(toHex)], [[], [], [toHex(seed)]])
})

test("a place that does not answer is named and tried again when this device's last kit had no words", async () => {
  const backends = emptyPlaces(4)
  const id = await lay(backends, openSeed)
  await eraseParts({ env, backends: backends.slice(1) }, openSeed)
  const away = [unreadable(backends[0]!), ...backends.slice(1)]
  const known = [knownKit([id])]
  assert.deepEqual((await erase(away, { known })).pending, [], "one that no other place holds is not known of")
  const left = await erase(away, { known, openAt: [...all, "gone"] })
  assert.deepEqual(left.pending, [{ seed: toHex(openSeed), places: ["p0"], kits: [] }])
  assert.deepEqual(
    left.failed.map(({ place }) => place),
    ["gone", "p0"],
  )
  assert.deepEqual((await erase(backends, { known, earlier: left.pending })).pending, [])
  assert.deepEqual(await statesAt(backends, openSeed), erased)
})

test("what is no part goes whoever is meant, and what is erased or was never there is not written again", async () => {
  const backends = emptyPlaces(3)
  const seed = crypto.random(32)
  const sealed = new Uint8Array(40)
  const garbage = await signRegisterValue(crypto, seed, { sequence: 1, lineage: [], sealed, care: new Uint8Array() })
  await backends[0]!.proposeRegisters([garbage])
  let written = 0
  const counted = backends.map(
    (backend): Backend => ({
      ...backend,
      proposeRegisters: (...args) => {
        written++
        return backend.proposeRegisters(...args)
      },
    }),
  )
  for (let run = 0; run < 2; run++) {
    const outcomes = await eraseParts({ env, backends: counted }, seed, { isMeant: () => false })
    assert.deepEqual(outcomes, [{ place: "p0" }, { place: "p1" }, { place: "p2" }])
    assert.equal(written, 1)
  }
  assert.deepEqual(await statesAt(backends, seed), ["erased", "none", "none"])
  const id = registerIdOf(await crypto.publicKeyOf(seed))
  assert.equal((await backends[1]!.readRegisters([id]))[0], undefined)
})
