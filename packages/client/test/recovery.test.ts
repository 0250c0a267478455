import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import * as kits from "@holdfast/client/kits"
import {
  type Choice,
  chooseKit,
  type FoundKit,
  goodParts,
  groupParts,
  keyOfKit,
  openKit,
  type Wish,
} from "@holdfast/client/kits"
import { fromHex, type HoldfastError, toHex } from "@holdfast/core"
import { nodeEnv as env, nodeCrypto } from "@holdfast/core/node"
import {
  type Backend,
  decodeRecoveryPart,
  decodeRecoverySecrets,
  encodeCap,
  openRecoveryRegisterSeed,
  type RecoverySecrets,
  recoveryRegisterSeed,
  registerIdOf,
  signRegisterValue,
} from "@holdfast/protocol"
import type { RecoveryVectors } from "@holdfast/protocol/vectors"
import { quorumOf } from "@holdfast/store"
import fc from "fast-check"
import { secretFor } from "../src/recovery/protect.ts"
import { refuseWeak } from "../src/recovery/strength.ts"
import { newWords, normalSecret } from "../src/recovery/words.ts"

const makeKit = (...[secrets, options]: Tail<typeof kits.makeKit>) => kits.makeKit(nodeCrypto, secrets, options)
const readParts = (backends: readonly Backend[], at: Uint8Array) => kits.readParts({ env, backends }, at)
const eraseParts = (backends: readonly Backend[], at: Uint8Array) => kits.eraseParts({ env, backends }, at)
const writeParts = (backends: readonly Backend[], ...rest: Tail<typeof kits.writeParts>) =>
  kits.writeParts({ env, backends }, ...rest)
type Tail<F extends (...args: never) => unknown> = Parameters<F> extends [unknown, ...infer Rest] ? Rest : never

type Mode = "crash" | "byzantine"
const volumes: readonly { readonly mode: Mode; readonly n: number }[] = [
  { mode: "crash", n: 3 },
  { mode: "crash", n: 5 },
  { mode: "byzantine", n: 4 },
  { mode: "byzantine", n: 7 },
]
const faultsOf = (n: number, mode: Mode) => n - quorumOf(n, mode)
const wish: Wish = { name: "main" }
/** Where the kits of these tests lie unless they say otherwise. */
const seed = openRecoveryRegisterSeed("main")

function secretsFor(n: number, createdMs = 1_700_000_000_000): RecoverySecrets {
  return {
    createdMs,
    volume: "clouds",
    places: Array.from({ length: n }, (_, i) => `place${i}`),
    convergenceSecret: new Uint8Array(nodeCrypto.random(32)),
    aliases: new Map([["clouds", encodeCap({ kind: "dw", seed: new Uint8Array(nodeCrypto.random(32)) })]]),
    aliasVolumes: new Map([["clouds", "clouds"]]),
    ...{ localAliases: [], volumes: [], seen: "{}" },
    grid: { coordinator: "coord.example.org:7443", caFingerprint: new Uint8Array(nodeCrypto.random(32)) },
    bucketKeys: new Map([["s3://a", { accessKeyId: "AK", secretAccessKey: "a+b/c=" }]]),
    kits: new Map([["clouds/main", new Uint8Array(nodeCrypto.random(32))]]),
    others: new Map([["accountSeed", new Uint8Array(nodeCrypto.random(32))]]),
  }
}

const emptyPlaces = (n: number) => Array.from({ length: n }, (_, i) => createMemoryBackend(`place${i}`, nodeCrypto))

async function store(
  backends: readonly Backend[],
  parts: readonly Uint8Array[],
  at: Uint8Array = seed,
): Promise<(string | undefined)[]> {
  const failures = await writeParts(backends, at, { parts, answers: await readParts(backends, at) })
  return failures.map((failure) => failure?.why)
}

async function find(backends: readonly Backend[], at: Uint8Array): Promise<FoundKit[]> {
  return groupParts(goodParts(await readParts(backends, at)))
}

/** Both registers are looked into, as the command does. */
async function choose(backends: readonly Backend[], more: Partial<Wish> = {}): Promise<Choice> {
  const hidden = more.secret ? await find(backends, recoveryRegisterSeed(more.secret.master)) : []
  return chooseKit(nodeCrypto, { hidden, open: await find(backends, seed) }, { ...wish, ...more })
}

const restore = async (backends: readonly Backend[], more: Partial<Wish> = {}) =>
  (await choose(backends, more)).kit.secrets

const secretOf = async (passphrase: string, name = "main") => secretFor(await normalSecret(passphrase), name)

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
  "nothing, signed": "erased",
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
      const [answer] = await readParts(asked, seed)
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

test("with words or a passphrase nothing is found without them, by another name, or with others", async () => {
  const secrets = secretsFor(4)
  const backends = emptyPlaces(4)
  const words = await newWords(nodeCrypto)
  assert.equal(words.split(" ").length, 12)
  for (const [made, given] of [
    [words, words],
    ["für immer und ewig", "fu\u0308r immer und ewig"],
  ] as const) {
    const { master } = await secretOf(made)
    await store(backends, await makeKit(secrets, { threshold: 2, master }), recoveryRegisterSeed(master))
    assert.deepEqual(await restore(backends, { secret: await secretOf(given) }), secrets)
  }
  const typed = words
    .split(" ")
    .map((word, i) => `${i + 1}. ${word.toUpperCase()}`)
    .join("\n ")
  assert.equal(await normalSecret(typed), words)
  await assert.rejects(restore(backends), { code: "ERR_NOT_FOUND" })
  const others = await secretOf(await newWords(nodeCrypto))
  await assert.rejects(restore(backends, { secret: others }), { code: "ERR_NOT_FOUND" })
  await assert.rejects(restore(backends, { secret: await secretOf(words, "laptop") }), { code: "ERR_NOT_FOUND" })
})

test("a typing error in words is told before any place is asked, and nothing of them is in the message", async () => {
  const words = "abandon amount liar amount expire adjust cage candy arch gather drum buyer".split(" ")
  const typed = [words.with(3, "amuont"), words.with(3, "candy"), words.slice(1), [...words.slice(1), words[0]!]]
  for (const wrong of typed)
    await assert.rejects(normalSecret(wrong.join(" ")), (error: HoldfastError) => {
      assert.equal(error.code, "ERR_WRONG_PASSPHRASE")
      assert.doesNotMatch(error.message, /amuont|candy|liar|abandon/)
      return true
    })
  assert.equal(await normalSecret(" a few words, no more "), " a few words, no more ")
})

test("a passphrase that can be guessed is refused, and new words never are", async () => {
  for (const weak of ["password", "12345678", "qwertzuiop", "aaaaaaaaaaaaaaaaaaaaaaaa", "Tr0ub4dor&3", "holdfast2026"])
    await assert.rejects(refuseWeak(weak), { code: "ERR_INVALID_ARGUMENT" }, weak)
  for (const strong of ["correct horse battery staple", await newWords(nodeCrypto)]) await refuseWeak(strong)
})

test("who gives a passphrase is never given a kit without one, however many places offer it", async () => {
  const backends = emptyPlaces(4)
  const secret = await secretOf("correct horse")
  const forged = await makeKit(secretsFor(4, 9e12), { threshold: 2 })
  await store(backends, forged)
  await store(backends, forged, recoveryRegisterSeed(secret.master))
  await assert.rejects(restore(backends, { secret }), { code: "ERR_REFUSED" })
  const secrets = secretsFor(4)
  await eraseParts(backends.slice(2), recoveryRegisterSeed(secret.master))
  const genuine = await makeKit(secrets, { threshold: 2, master: secret.master })
  await store(backends.slice(2), genuine.slice(2), recoveryRegisterSeed(secret.master))
  assert.deepEqual(await restore(backends, { secret }), secrets)
})

test("erasing takes a kit off every place that answers, names the others, and writes nothing where nothing was", async () => {
  const backends = emptyPlaces(5)
  await store(backends.slice(0, 4), await makeKit(secretsFor(4), { threshold: 2 }))
  const away = liar(backends[1]!, () => Promise.reject(new Error("connection reset")))
  const outcomes = await eraseParts([backends[0]!, away, ...backends.slice(2)], seed)
  assert.deepEqual(
    outcomes.map(({ why }) => why),
    [undefined, "connection reset", undefined, undefined, undefined],
  )
  assert.deepEqual(
    (await readParts(backends, seed)).map(({ state }) => state),
    ["erased", "part", "erased", "erased", "none"],
  )
  const next = secretsFor(5, 2)
  await store(backends, await makeKit(next, { threshold: 2 }))
  assert.deepEqual(await restore(backends), next)
})

test("a kit without words needs more parts than any f of the parties that read the places have", () => {
  const cases: readonly (readonly [places: number, f: number, marks: string[][], threshold: number | undefined])[] = [
    [
      4,
      1,
      [
        ["key a", "x"],
        ["key b", "y"],
        ["key c", "z"],
        ["key d", "w"],
      ],
      2,
    ],
    [5, 2, Array.from({ length: 5 }, () => ["grid"]), undefined],
    [4, 1, [["this machine"], ["this machine"], ["key a", "x"], ["key b", "y"]], 3],
    [
      4,
      1,
      [
        ["key a", "x"],
        ["key a", "y"],
        ["key b", "y"],
        ["key c", "z"],
      ],
      undefined,
    ],
    [7, 2, [["a"], ["a"], ["b"], ["c"], ["d"], ["e"], ["f"]], 4],
  ]
  for (const [places, f, marks, threshold] of cases)
    assert.equal(kits.openThreshold(places, f, kits.groupSizes(marks)), threshold, JSON.stringify(marks))
  assert.equal(kits.partiesFor(4, [2, 1, 1, 1, 1, 1]), 3)
})

test("the newer of two kits on as many places is restored, the other is mentioned, and either can be named", async () => {
  const backends = emptyPlaces(4)
  const [older, newer] = [secretsFor(4, 1), secretsFor(4, 2)]
  await store(backends.slice(0, 2), (await makeKit(older, { threshold: 2 })).slice(0, 2))
  await store(backends.slice(2), (await makeKit(newer, { threshold: 2 })).slice(2))
  const { kit, others } = await choose(backends)
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

test("the kits of the frozen vectors of both versions open from any of their parts", async () => {
  for (const file of ["recovery-kit.json", "recovery-kit-2.json"]) {
    const path = new URL(`../../../interop/vectors/${file}`, import.meta.url)
    const { good } = JSON.parse(readFileSync(path, "utf8")) as RecoveryVectors
    assert.ok(good.length >= 3)
    for (const { name, kitName, key, threshold, parts, content, passphrase, master } of good) {
      const secret = passphrase === null ? undefined : await secretOf(passphrase, kitName)
      if (file === "recovery-kit-2.json") assert.equal(secret && toHex(secret.master), master ?? undefined)
      for (const chosen of subsets(parts.length, threshold)) {
        const found = chosen.map((i) => ({ place: `${i}`, part: decodeRecoveryPart(fromHex(parts[i]!)) }))
        const [kit] = groupParts(found)
        assert.equal(toHex((await keyOfKit(kit!))!), key, name)
        const opened = await openKit(nodeCrypto, kit!, { key: fromHex(key), secret })
        assert.deepEqual(opened!.secrets, decodeRecoverySecrets(fromHex(content)), name)
      }
    }
  }
})

test("without any part, or of another name, nothing is found", async () => {
  const backends = emptyPlaces(3)
  await assert.rejects(restore(backends), { code: "ERR_NOT_FOUND" })
  await store(backends, await makeKit(secretsFor(3), { threshold: 2 }))
  const answers = await readParts(backends, openRecoveryRegisterSeed("laptop"))
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
