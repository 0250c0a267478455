/**
 * The history of a register, and what every linearizable one must show: what was acknowledged is never lost, no reader goes
 * back behind what another has read, and no two acknowledged writes have the same place.
 */

import { createHash } from "node:crypto"
import { toHex } from "@holdfast/core"
import type { RegisterContent, RegisterKeys, RegisterParts, RegisterStore } from "@holdfast/store"
import type { SimulatedTime } from "./time.ts"

/** What follows from a write that was acknowledged. */
interface Acknowledged {
  readonly client: string
  readonly sequence: number
  readonly digest: string
}

/** Told when a claim does not hold. */
export type Fail = (claim: string, details: string) => void

/** Records what clients do with one register and checks it as it comes. */
export class RegisterHistory {
  readonly #time: SimulatedTime
  readonly #fail: Fail
  readonly #acknowledged = new Map<number, Acknowledged>()
  /** Highest sequence that some finished read or acknowledged write has shown. */
  #known = 0
  /** Highest sequence acknowledged. */
  newest = 0
  /** Hears of acknowledged writes. */
  onAcknowledged: (sequence: number) => void = () => undefined

  constructor(time: SimulatedTime, fail: Fail) {
    this.#time = time
    this.#fail = fail
  }

  /** `registers` as `client` uses them, watched; `onWrite` hears of a sequence before it is written. */
  watch(client: string, registers: RegisterStore, onWrite: (sequence: number) => void): RegisterStore {
    return {
      read: (keys) => this.#read(client, keys, registers),
      readCare: (keys) => registers.readCare(keys),
      write: (keys, after, parts) => {
        onWrite(after + 1)
        return this.#write(client, keys, after, parts, registers)
      },
    }
  }

  async #read(client: string, keys: RegisterKeys, registers: RegisterStore): Promise<RegisterContent | undefined> {
    const known = this.#known
    const value = await registers.read(keys)
    const sequence = value?.sequence ?? 0
    this.#time.trace(
      `${client} read register: ${sequence}${value?.siblings ? ` and ${value.siblings.length} more` : ""}`,
    )
    if (sequence < known)
      this.#fail("registers are linearizable", `${client} read ${sequence}, but ${known} was known before it began`)
    this.#known = Math.max(this.#known, sequence)
    const written = this.#acknowledged.get(sequence)
    if (value && written && ![value, ...(value.siblings ?? [])].some((parts) => digestOf(parts) === written.digest))
      this.#fail("registers are linearizable", `${client} read ${sequence} without what ${written.client} had written`)
    return value
  }

  async #write(client: string, keys: RegisterKeys, after: number, parts: RegisterParts, registers: RegisterStore) {
    const sequence = after + 1
    const known = this.#known
    const isWritten = await registers.write(keys, after, parts)
    this.#time.trace(`${client} write register ${sequence}: ${isWritten ? "acknowledged" : "lost the race"}`)
    if (!isWritten) return false
    if (sequence <= known)
      this.#fail("registers are linearizable", `${client} wrote ${sequence}, but ${known} was known before it began`)
    const other = this.#acknowledged.get(sequence)
    if (other)
      this.#fail("registers are linearizable", `${client} and ${other.client} both were told they wrote ${sequence}`)
    this.#acknowledged.set(sequence, { client, sequence, digest: digestOf(parts) })
    this.#known = Math.max(this.#known, sequence)
    this.newest = Math.max(this.newest, sequence)
    this.onAcknowledged(sequence)
    return true
  }
}

function digestOf({ content, care }: RegisterParts): string {
  return toHex(createHash("sha256").update(content).update(care).digest())
}
