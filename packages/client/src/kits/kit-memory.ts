/** What a device remembers of its recovery kits, so that a run that ends anywhere leaves nothing behind that nobody knows. */
import { fromHex } from "@holdfast/core"
import { openRecoveryRegisterSeed, recoveryRegisterSeed } from "@holdfast/protocol"

/** What a device knows of a kit of its own: where it lies, what opens it, what has to be erased. */
export interface KitKeys {
  /** Of its words, in hexadecimal; absent without words, and while it is not known which words its owner was told. */
  readonly master?: string | undefined
  readonly places: readonly string[]
  /** Registers of kits before, and the places that may still hold a part there. */
  readonly erase: readonly PendingErasure[]
}

/** A register in which a kit lay, by its seed in hexadecimal. */
export interface PendingErasure {
  readonly seed: string
  readonly places: readonly string[]
  /** The kits that are meant, as far as they were seen: one that came there later is another device's. All that are there when absent. */
  readonly kits?: readonly string[] | undefined
}

/** A kit that this device made or was restored from. */
export interface KnownKit {
  readonly name: string
  readonly volume: string
  /** Of this kit and those that it replaced, the newest first. */
  readonly ids: readonly string[]
  /** 2 when it is of that version; those without it anybody may find who reads the places. */
  readonly format?: 2 | undefined
  /** Places of which it is not known that they hold a part of the newest. */
  readonly missing?: readonly string[] | undefined
}

/** What outlives the process. Each call is on the disk, or acknowledged, when it resolves. */
export interface KitMemory {
  /** As it is when the making begins. */
  readonly before: KitKeys
  readonly known: readonly KnownKit[]
  setKeys(keys: KitKeys): Promise<void>
  /** Writes a kit down, before it lies anywhere as one that may not restore, and again when it may. */
  remember(kit: { readonly id: string; readonly isWhole: boolean; readonly missing: readonly string[] }): Promise<void>
  /** The account's list has the registers of all that the keys name, and this one, so that nobody collects them. */
  list(seed: Uint8Array): Promise<void>
  /** What the keys no longer name goes out of the list, but for these registers, on which another device relies. */
  unlist(stay: readonly Uint8Array[]): Promise<void>
}

/** The seed of the register in which a kit lies; without a master key it is not protected. */
export function kitSeed(name: string, master: Uint8Array | undefined): Uint8Array {
  return master ? recoveryRegisterSeed(master) : openRecoveryRegisterSeed(name)
}

/** The seeds of all registers that keys name. */
export function seedsOf(name: string, { master, erase }: Pick<KitKeys, "master" | "erase">): Uint8Array[] {
  return [kitSeed(name, master === undefined ? undefined : fromHex(master)), ...erase.map(({ seed }) => fromHex(seed))]
}
