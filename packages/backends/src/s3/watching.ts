/**
 * Looks after registers of a bucket, which tells nobody of changes. A value's object never changes, so what there is to ask is whether a
 * newer one came: mostly by the key of the next number, which costs a request that finds nothing, the cheapest there is; now and then by
 * a list, since numbers may be passed over. Only a register that changed is read.
 */
import { mapPool } from "@holdfast/core"
import { hashRegisterValue, type WatchedRegister } from "@holdfast/protocol"
import { parseRegisterKey, registerKey, registerPrefix } from "./keys.ts"
import type { Place } from "./place.ts"
import type { Registers } from "./registers.ts"

/** The newest value as it was found last. */
interface Looked {
  /** Its object; undefined where there was none. */
  readonly key: string | undefined
  readonly hash: Uint8Array | undefined
  looks: number
  /** So many looks more are answered from memory: something that is no value lay where a newer one would. */
  idleLooks: number
  /** How often that was so, one time after another. */
  readonly falseAlarms: number
}

const parallel = 16
/** In each so many looks one asks for a list. */
const looksPerList = 4
/** Registers that are remembered. */
const mostLooked = 10_000
/** Most looks that are left out for what is no value. */
const mostIdleLooks = 64

/** Looks whether registers changed. */
export class Watching {
  readonly #place: Place
  readonly #registers: Registers
  readonly #looked = new Map<string, Looked>()

  constructor(place: Place, registers: Registers) {
    this.#place = place
    this.#registers = registers
  }

  /** Hashes of the newest values. */
  hashes(watched: readonly WatchedRegister[], signal?: AbortSignal): Promise<(Uint8Array | undefined)[]> {
    return mapPool(watched, parallel, async ({ id }) => {
      signal?.throwIfAborted()
      const register = registerPrefix(id)
      const looked = this.#looked.get(register)
      if (looked && !(await this.#isNewer(id, looked, signal))) return looked.hash
      const found = await this.#registers.newest(id, signal)
      const hash = found && (await hashRegisterValue(this.#place.crypto, found.bytes))
      if (this.#looked.size >= mostLooked) this.#looked.clear()
      const falseAlarms = looked && looked.key === found?.key ? looked.falseAlarms + 1 : 0
      const idleLooks = Math.min(mostIdleLooks, 2 ** falseAlarms - 1)
      this.#looked.set(register, { key: found?.key, hash, looks: 0, idleLooks, falseAlarms })
      return hash
    })
  }

  async #isNewer(id: Uint8Array, looked: Looked, signal: AbortSignal | undefined): Promise<boolean> {
    if (looked.idleLooks > 0) {
      looked.idleLooks--
      return false
    }
    looked.looks++
    if (looked.looks % looksPerList === 0) {
      const { infos } = await this.#place.bucket.list(registerPrefix(id), { limit: 1, signal })
      const first = infos[0]?.key // of the highest number
      return first !== undefined && (looked.key === undefined || first < looked.key)
    }
    const rank = (looked.key !== undefined && parseRegisterKey(looked.key)?.sequence) || 0
    // One byte tells: an object is not empty, and what it holds is read and checked only then.
    return (await this.#place.bucket.getPart(registerKey(id, rank + 1), 0, 1, { signal })) !== undefined
  }
}
