/**
 * The history of a register, and what every linearizable one must show: what was acknowledged is never lost, no reader goes
 * back behind what another has read, and no two acknowledged writes have the same place.
 */
import { createHash } from "node:crypto"
import { toHex } from "@holdfast/core"
import { registerIdOf } from "@holdfast/protocol"
import type {
  RegisterContent,
  RegisterKeys,
  RegisterParts,
  RegisterStore,
  SeenStore,
  WriteOptions,
} from "@holdfast/store"
import type { SimulatedTime } from "./time.ts"

/** What follows from a write that was acknowledged. */
interface Acknowledged {
  readonly client: string
  readonly sequence: number
  readonly digest: string
}

/** Who reads and writes. */
export interface Watcher {
  readonly client: string
  readonly seen: DurableSeen
  /** False for a process that died; what it is told later, nobody hears. */
  readonly isAlive: () => boolean
  /** Hears of a sequence before it is written. */
  readonly onWrite: (sequence: number) => void
}

/** What a client remembers, and what of it a crash leaves. */
export interface DurableSeen extends SeenStore {
  readonly durable: SeenStore["get"]
}

interface Write {
  readonly keys: RegisterKeys
  readonly after: number
  readonly parts: RegisterParts
  readonly options: WriteOptions | undefined
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

  /** `registers` as a client uses them, watched. */
  watch(registers: RegisterStore, watcher: Watcher): RegisterStore {
    return {
      read: (keys) => this.#read(watcher, keys, registers),
      readCare: (keys) => registers.readCare(keys),
      write: (keys, after, parts, options) => {
        watcher.onWrite(after + 1)
        return this.#write(watcher, { keys, after, parts, options }, registers)
      },
    }
  }

  /** What a client was told of is on its disk before. */
  async #checkSeen({ client, seen, isAlive }: Watcher, { publicKey }: RegisterKeys, sequence: number): Promise<void> {
    const known = (await seen.durable(toHex(registerIdOf(publicKey))))?.sequence ?? 0
    if (known < sequence && isAlive())
      this.#fail("what was seen is on disk before success is reported", `${client}: ${known} of ${sequence}`)
  }

  async #read(watcher: Watcher, keys: RegisterKeys, registers: RegisterStore): Promise<RegisterContent | undefined> {
    const { client } = watcher
    const known = this.#known
    const value = await registers.read(keys)
    const sequence = value?.sequence ?? 0
    await this.#checkSeen(watcher, keys, sequence)
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

  async #write(watcher: Watcher, { keys, after, parts, options }: Write, registers: RegisterStore) {
    const { client } = watcher
    const sequence = after + 1
    const known = this.#known
    const isWritten = await registers.write(keys, after, parts, options)
    this.#time.trace(`${client} write register ${sequence}: ${isWritten ? "acknowledged" : "lost the race"}`)
    if (!isWritten) return false
    await this.#checkSeen(watcher, keys, sequence)
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
