import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { fromHex, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import {
  type Backend,
  decodeRecoveryPart,
  encodeCap,
  encodeRecoverySecrets,
  type RecoverySecrets,
  recoveryRegisterSeed,
  registerIdOf,
  signRegisterValue,
} from "@holdfast/protocol"
import type { RecoveryVectors } from "@holdfast/protocol/vectors"
import { quorumOf } from "@holdfast/store"
import fc from "fast-check"
import { chooseKit, type Wish } from "../src/recovery/choose-kit.ts"
import { groupParts, keyOfKit, makeKit, openKit } from "../src/recovery/kit.ts"
import { goodParts, readParts, writeParts } from "../src/recovery/registers.ts"

type Mode = "crash" | "byzantine"
const volumes: readonly { readonly mode: Mode; readonly n: number }[] = [
  { mode: "crash", n: 3 },
  { mode: "crash", n: 5 },
  { mode: "byzantine", n: 4 },
  { mode: "byzantine", n: 7 },
]
const faultsOf = (n: number, mode: Mode) => n - quorumOf(n, mode)
// The cheapest parameters: what is tested here is the kit, not the cost.
const parameters = { memoryKiB: 8, passes: 1, lanes: 1, salt: nodeCrypto.random(16) }
const wish: Wish = { name: "main", ask: () => Promise.reject(new Error("nobody was to be asked")) }

function secretsFor(n: number, createdMs = 1_700_000_000_000): RecoverySecrets {
  return {
    createdMs,
    volume: "clouds",
    places: Array.from({ length: n }, (_, i) => `place${i}`),
    convergenceSecret: new Uint8Array(nodeCrypto.random(32)),
    aliases: new Map([["clouds", encodeCap({ kind: "dw", seed: new Uint8Array(nodeCrypto.random(32)) })]]),
    aliasVolumes: new Map([["clouds", "clouds"]]),
    volumes: [],
    seen: "{}",
  }
}

const emptyPlaces = (n: number) => Array.from({ length: n }, (_, i) => createMemoryBackend(`place${i}`, nodeCrypto))

async function store(backends: readonly Backend[], parts: readonly Uint8Array[]): Promise<(string | undefined)[]> {
  return writeParts(backends, "main", { parts, answers: await readParts(backends, "main") })
}

const restore = async (backends: readonly Backend[], more: Partial<Wish> = {}) =>
  (await chooseKit(groupParts(goodParts(await readParts(backends, "main"))), { ...wish, ...more })).kit.secrets

/** Every subset of `size` of the numbers below `n`. */
function subsets(n: number, size: number): number[][] {
  if (size === 0) return [[]]
  if (n < size) return []
  return [...subsets(n - 1, size), ...subsets(n - 1, size - 1).map((rest) => [...rest, n - 1])]
}

test("every f+1 places restore all secrets, and no f do", async () => {
  for (const { mode, n } of volumes) {
    const f = faultsOf(n, mode)
    const secrets = secretsFor(n)
    const backends = emptyPlaces(n)
    await store(backends, await makeKit(secrets, { threshold: f + 1 }))
    for (const chosen of subsets(n, f + 1))
      assert.deepEqual(await restore(chosen.map((i) => backends[i]!)), secrets, `${mode} ${n}: ${chosen}`)
    for (const chosen of subsets(n, f))
      await assert.rejects(restore(chosen.map((i) => backends[i]!)), { code: "ERR_NOT_ENOUGH_SHARES" })
  }
})

/** What a lying place answers; `earlier` and `foreign` are whole kits that it knows, `own` is its true part. */
interface Known {
  readonly own: Uint8Array
  readonly neighbour: Uint8Array
  readonly earlier: Uint8Array
  readonly foreign: Uint8Array
  /** A kit that all liars made together, of a time to come, that f places would restore if f is more than 1. */
  readonly conspiracy: Uint8Array
  readonly steep: Uint8Array
}
const seed = recoveryRegisterSeed("main")
const signed = (sealed: Uint8Array, sequence = Number.MAX_SAFE_INTEGER, key = seed) =>
  signRegisterValue(nodeCrypto, key, {
    ...{ sequence, sealed, care: new Uint8Array() },
    lineage: sequence > 1 ? [[new Uint8Array(32)]] : [],
  })
const changed = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte))

const lies: Readonly<Record<string, (known: Known) => Promise<Uint8Array | undefined>>> = {
  missing: async () => undefined,
  away: () => Promise.reject(new Error("connection reset")),
  "no register value": async () => new Uint8Array(nodeCrypto.random(300)),
  "signed garbage": async () => signed(new Uint8Array(nodeCrypto.random(300))),
  "nothing, signed": async () => signed(new Uint8Array()),
  huge: async () => new Uint8Array(1_000_000),
  "a value of another register": async ({ own }) => signed(own, 1, new Uint8Array(32)),
  "a changed share": async ({ own }) => signed(changed(own, own.length - 5)),
  "another index": async ({ own }) => signed(changed(own, own.length - 36)),
  "changed secrets": async ({ own }) => signed(changed(own, own.length - 80)),
  "the part of another place": async ({ neighbour }) => signed(neighbour),
  "an earlier kit": async ({ earlier }) => signed(earlier),
  "another kit": async ({ foreign }) => signed(foreign),
  "a kit that needs too many": async ({ steep }) => signed(steep),
  "a kit of the liars": async ({ conspiracy }) => signed(conspiracy),
}

/** How far a lie gets: most are seen through at once. */
const stateOfLie: Readonly<Record<string, string>> = {
  missing: "none",
  away: "away",
  "changed secrets": "part",
  "the part of another place": "part",
  "an earlier kit": "part",
  "another kit": "part",
  "a kit that needs too many": "part",
  "a kit of the liars": "part",
}

function liar(backend: Backend, lie: () => Promise<Uint8Array | undefined>): Backend {
  return { ...backend, readRegisters: async () => [await lie()] }
}

test("up to f places, each lying in any way, neither spoil nor block what the others restore", async () => {
  for (const { mode, n } of volumes) {
    const f = faultsOf(n, mode)
    const secrets = secretsFor(n)
    const backends = emptyPlaces(n)
    const make = (other: RecoverySecrets, threshold: number) => makeKit(other, { threshold })
    const parts = await make(secrets, f + 1)
    await store(backends, parts)
    const earlier = await make(secretsFor(n, 1), f + 1)
    const foreign = await make(secretsFor(n), f + 1)
    const steep = await make(secretsFor(n, 9e12), n)
    const conspiracy = await make(secretsFor(n, 9e12), 2)
    const known = (i: number): Known => ({
      own: parts[i]!,
      neighbour: parts[(i + 1) % n]!,
      earlier: earlier[i]!,
      foreign: foreign[i]!,
      conspiracy: conspiracy[i]!,
      steep: steep[i]!,
    })
    const someLies = fc.array(fc.constantFrom(...Object.keys(lies)), { minLength: f, maxLength: f })
    // The liars come first; f+1 honest places are enough.
    const order = fc.shuffledSubarray(
      backends.map((_, i) => i),
      { minLength: 2 * f + 1 },
    )
    await fc.assert(
      fc.asyncProperty(someLies, order, async (told, chosen) => {
        const lying = new Map(told.map((name, i) => [chosen[i]!, name]))
        const asked = chosen.map((i) => {
          const name = lying.get(i)
          return name === undefined ? backends[i]! : liar(backends[i]!, () => lies[name]!(known(i)))
        })
        assert.deepEqual(await restore(asked), secrets)
      }),
      { numRuns: 60 },
    )
    // And all of them the same, where they work together.
    for (const name of Object.keys(lies)) {
      const asked = backends.map((backend, i) => (i < f ? liar(backend, () => lies[name]!(known(i))) : backend))
      assert.deepEqual(await restore(asked), secrets, `${mode} ${n}: ${name}`)
      const [answer] = await readParts(asked, "main")
      assert.equal(answer!.state, stateOfLie[name] ?? "bad", name)
    }
  }
})

test("a part with any byte changed is never taken for a good one", async () => {
  const [part] = await makeKit(secretsFor(4), { threshold: 2 })
  const kit = decodeRecoveryPart(part!)
  for (let at = 0; at < part!.length; at++) {
    try {
      const found = decodeRecoveryPart(changed(part!, at))
      assert.notDeepEqual(found.kitId, kit.kitId, `byte ${at}`)
    } catch (error) {
      assert.match((error as { code: string }).code, /^ERR_(BAD_FORMAT|UNSUPPORTED_VERSION|LIMIT|CORRUPT)$/)
    }
  }
})

test("with a passphrase nothing restores without it, and a wrong one is told", async () => {
  const secrets = secretsFor(4)
  const backends = emptyPlaces(4)
  await store(backends, await makeKit(secrets, { threshold: 2, passphrase: "für immer", parameters }))
  assert.deepEqual(await restore(backends, { passphrase: "fu\u0308r immer" }), secrets)
  assert.deepEqual(await restore(backends, { ask: async () => "für immer" }), secrets)
  await assert.rejects(restore(backends, { passphrase: "für nie" }), { code: "ERR_WRONG_PASSPHRASE" })
})

test("who gives a passphrase is never given a kit without one, however many places offer it", async () => {
  const backends = emptyPlaces(4)
  const forged = await makeKit(secretsFor(4, 9e12), { threshold: 2 })
  await store(backends, forged)
  await assert.rejects(restore(backends, { passphrase: "correct horse" }), { code: "ERR_REFUSED" })
  const secrets = secretsFor(4)
  const genuine = await makeKit(secrets, { threshold: 2, passphrase: "correct horse", parameters })
  await store(backends.slice(2), genuine.slice(2))
  assert.deepEqual(await restore(backends, { passphrase: "correct horse" }), secrets)
  // Both on two places: the one with a passphrase is asked for, not passed over.
  assert.deepEqual(await restore(backends, { ask: async () => "correct horse" }), secrets)
})

test("the newer of two kits on as many places is restored, the other is mentioned, and either can be named", async () => {
  const backends = emptyPlaces(4)
  const [older, newer] = [secretsFor(4, 1), secretsFor(4, 2)]
  await store(backends, await makeKit(older, { threshold: 2 }))
  await store(backends.slice(2), (await makeKit(newer, { threshold: 2 })).slice(2))
  const kits = groupParts(goodParts(await readParts(backends, "main")))
  const { kit, others } = await chooseKit(kits, wish)
  assert.deepEqual([kit.secrets, others.map(({ secrets }) => secrets)], [newer, [older]])
  assert.deepEqual(await restore(backends, { id: others[0]!.id.slice(0, 10).toUpperCase() }), older)
  await assert.rejects(restore(backends, { id: "0000000000000000" }), { code: "ERR_NOT_FOUND" })
})

test("a new kit replaces the old one on every place but those that claim the last sequence number", async () => {
  const [old, next] = [secretsFor(4, 1), secretsFor(4, 2)]
  const backends = emptyPlaces(4)
  await store(backends, await makeKit(old, { threshold: 2 }))
  const last = await signed(new Uint8Array(9))
  const places = [liar(backends[0]!, async () => last), ...backends.slice(1)]
  const failures = await store(places, await makeKit(next, { threshold: 2 }))
  assert.match(failures[0]!, /last sequence number/)
  assert.deepEqual(failures.slice(1), [undefined, undefined, undefined])
  assert.deepEqual(await restore(places), next)
  const [bytes] = await backends[1]!.readRegisters([registerIdOf(await nodeCrypto.publicKeyOf(seed))])
  assert.ok(bytes)
})

test("the kits of the frozen vectors open from any of their parts", async () => {
  const path = new URL("../../../interop/vectors/recovery-kit.json", import.meta.url)
  const { good } = JSON.parse(readFileSync(path, "utf8")) as RecoveryVectors
  assert.ok(good.length >= 3)
  for (const { name, key, threshold, parts, content, passphrase } of good)
    for (const chosen of subsets(parts.length, threshold)) {
      const found = chosen.map((i) => ({ place: `${i}`, part: decodeRecoveryPart(fromHex(parts[i]!)) }))
      const [kit] = groupParts(found)
      assert.equal(toHex((await keyOfKit(kit!))!), key, name)
      const opened = await openKit(kit!, fromHex(key), passphrase ?? undefined)
      assert.equal(toHex(encodeRecoverySecrets(opened!.secrets)), content, name)
    }
})

test("without any part, or of another name, nothing is found", async () => {
  const backends = emptyPlaces(3)
  await assert.rejects(restore(backends), { code: "ERR_NOT_FOUND" })
  await store(backends, await makeKit(secretsFor(3), { threshold: 2 }))
  const answers = await readParts(backends, "laptop")
  assert.deepEqual(
    answers.map(({ state }) => state),
    ["none", "none", "none"],
  )
})

test("secrets of 200 trees fit into a kit of the largest volume, and far more are refused", async () => {
  const cap = () => encodeCap({ kind: "dw", seed: new Uint8Array(nodeCrypto.random(32)) })
  const many = (count: number) => ({
    ...secretsFor(255),
    aliases: new Map(Array.from({ length: count }, (_, i) => [`tree${i}`, cap()])),
  })
  const parts = await makeKit(many(200), { threshold: 86 })
  assert.ok(parts.every((part) => part.length <= 65_536))
  await assert.rejects(makeKit(many(3000), { threshold: 86 }), { code: "ERR_LIMIT" })
})
