/** What every place that lets registers be watched promises. */
import assert from "node:assert/strict"
import { it } from "node:test"
import { setTimeout as delay } from "node:timers/promises"
import { toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import type { Backend, CallOptions, WatchedRegister } from "../backend.ts"
import type { RegisterId } from "../ids.ts"
import { registerHashOf, registerIdOf } from "../register.ts"
import { registersPerWait } from "../wire-watch.ts"
import { makeAccount, makeOrder } from "./accounts.ts"
import type { ContractOptions, Opened } from "./contract-place.ts"
import { makeRegisterValue } from "./shares.ts"

/** Declares the suite. */
export function watchContract(opened: Opened, { cannot = [] }: ContractOptions): void {
  it("tells watchers at once what is held when they know of another value, or of none", async (t) => {
    const { backend } = await opened(t)
    const [held, absent] = [await newRegister(), await newRegister()]
    const [older, newer] = [await held.value(1), await held.value(2)]
    await backend.proposeRegisters([older])
    await backend.proposeRegisters([newer])
    const known: WatchedRegister[][] = [
      [{ id: held.id }, { id: absent.id }],
      [{ id: held.id, hash: registerHashOf(older) }, { id: absent.id }],
      [
        { id: held.id, hash: registerHashOf(newer) },
        { id: absent.id, hash: registerHashOf(older) },
      ],
    ]
    for (const watched of known)
      assert.deepEqual(texts(await backend.watchRegisters!(watched)), [toHex(registerHashOf(newer)), undefined])
  })

  it("tells watchers of what another connection changes, among as many registers as may be watched", async (t) => {
    const { place, account, backend } = await opened(t)
    const writer = await place.backendOf(account)
    const registers = await Promise.all(Array.from({ length: registersPerWait }, newRegister))
    const changing = registers[registersPerWait - 2]!
    for (const sequence of [1, 2, 3]) {
      const value = await changing.value(sequence)
      const before = sequence === 1 ? undefined : registerHashOf(await changing.value(sequence - 1))
      const watched = registers.map(({ id }) => (id === changing.id && before ? { id, hash: before } : { id }))
      const told = nextWord(backend, watched)
      await delay(10) // mostly it waits by then
      await writer.proposeRegisters([value])
      const expected = registers.map(({ id }) => (id === changing.id ? toHex(registerHashOf(value)) : undefined))
      assert.deepEqual(texts(await told), expected)
    }
  })

  it("ends a watch when its signal aborts, and goes on serving", async (t) => {
    const { backend } = await opened(t)
    const { id, value } = await newRegister()
    const stop = new AbortController()
    const watch = nextWord(backend, [{ id }], { signal: stop.signal })
    await delay(10)
    stop.abort(new Error("stopped"))
    await assert.rejects(watch)
    await assert.rejects(backend.watchRegisters!([{ id }], { signal: stop.signal }))
    const first = await value(1)
    await backend.proposeRegisters([first])
    assert.deepEqual(texts(await backend.watchRegisters!([{ id }])), [toHex(registerHashOf(first))])
  })

  if (!cannot.includes("kept"))
    it("tells watchers that a register has gone with its last mark", async (t) => {
      const { place, account, backend } = await opened(t)
      if (!place.advance) return t.skip("nobody can move this place's clock")
      const { id, value } = await newRegister()
      const bytes = await value(1)
      await backend.proposeRegisters([bytes])
      place.advance(25 * 3_600_000)
      const told = nextWord(backend, [{ id, hash: registerHashOf(bytes) }])
      await delay(10)
      const collector = await place.backendOf(account)
      const done = await collector.unmark(await makeOrder(crypto, collector, { seed: account.seed, registers: [id] }))
      assert.equal(done.marks, 1)
      assert.deepEqual(texts(await told), [undefined])
    })

  if (!cannot.includes("roles"))
    it("lets nobody watch who may not read", async (t) => {
      const { place } = await opened(t)
      const backend = await place.backendOf(await makeAccount(crypto, ["append"]))
      const { id } = await newRegister()
      await assert.rejects(backend.watchRegisters!([{ id }]), { code: "ERR_REFUSED" })
    })
}

interface TestRegister {
  readonly id: RegisterId
  value(sequence: number): Promise<Uint8Array>
}

async function newRegister(): Promise<TestRegister> {
  const seed = crypto.random(32)
  const id = registerIdOf(await crypto.publicKeyOf(seed))
  return { id, value: (sequence) => makeRegisterValue(crypto, seed, sequence, `value ${sequence}`) }
}

/** Asks until something is another than is known, however often the place answers that nothing is. */
async function nextWord(backend: Backend, watched: readonly WatchedRegister[], options: CallOptions = {}) {
  for (;;) {
    const hashes = await backend.watchRegisters!(watched, options)
    if (watched.some(({ hash }, i) => texts([hash])[0] !== texts([hashes[i]])[0])) return hashes
    await delay(5)
  }
}

function texts(hashes: readonly (Uint8Array | undefined)[]): (string | undefined)[] {
  return hashes.map((hash) => hash && toHex(hash))
}
