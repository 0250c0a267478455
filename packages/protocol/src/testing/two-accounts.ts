/** What the parts of the contract about accounts stand on: a place as two accounts see it. */
import type { TestContext } from "node:test"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import type { Backend, MarkOptions } from "../backend.ts"
import { registerIdOf } from "../register.ts"
import { makeAccount, makeOrder, type TestAccount } from "./accounts.ts"
import type { Opened, OpenedPlace } from "./contract-place.ts"
import { makeRegisterValue } from "./shares.ts"

/** Longer than the grace of a place whose operator chose none. */
export const longMs = 25 * 3_600_000

/** A place, and another account that is open there. */
export interface Two extends OpenedPlace {
  readonly other: TestAccount
  /** The place as the other account sees it. */
  readonly theirs: Backend
  /** Moves the clock. */
  readonly advance: (ms: number) => void
}

/** A place with two accounts; undefined, and the test skipped, where nobody can move the clock that it needs. */
export async function openedForTwo(opened: Opened, t: TestContext): Promise<Two | undefined> {
  const all = await opened(t)
  const { advance } = all.place
  if (!advance) {
    t.skip("nobody moves this place's clock")
    return undefined
  }
  const other = await makeAccount(crypto)
  return { ...all, other, theirs: await all.place.backendOf(other), advance }
}

/** Takes the marks of an account on chunks away, by its order. */
export async function unmarkAll(
  backend: Backend,
  { seed }: TestAccount,
  chunks: readonly Uint8Array[],
  token?: Uint8Array,
) {
  return backend.unmark(await makeOrder(crypto, backend, { seed, chunks, ...(token && { token }) }))
}

/** A register that no place knows. */
export async function newRegister() {
  const seed = crypto.random(32)
  return { seed, id: registerIdOf(await crypto.publicKeyOf(seed)) }
}

/** A value that is not taken by anything but its own register. */
export async function anyValue() {
  return makeRegisterValue(crypto, crypto.random(32), 1, "root")
}

/** Proposes one value. */
export async function proposeOne(backend: Backend, value: Uint8Array, options?: Partial<MarkOptions>) {
  return (await backend.proposeRegisters([value], options))[0]!
}
