/** What a value of a register consists of, of any version. */
import type { Level } from "./register-ancestry.ts"

/** A register value taken apart. */
export interface RegisterValue extends RegisterOrder {
  readonly version: 1 | 3 | 4
  /** The register's own Ed25519 key, 32 bytes. */
  readonly publicKey: Uint8Array
  /** The values that it names as those it follows; of version 4 those of the sequence before. */
  readonly lineage: Lineage
  /** What version 4 has beside it. */
  readonly bound?: BoundFields
  /** Salt and AEAD ciphertext: opaque here. */
  readonly sealed: Uint8Array
  /** Salt and AEAD ciphertext of what a verify capability opens: opaque here. */
  readonly care: Uint8Array
  /** Ed25519 signature, 64 bytes. */
  readonly signature: Uint8Array
}

/** Where a value stands among those of its register: a higher epoch goes before any number. */
export interface RegisterOrder {
  /** 0 until the owner begins another. */
  readonly epoch: number
  /** 1 for the first value. */
  readonly sequence: number
}

/** What a value of version 4 is bound to. */
export interface BoundFields {
  /** The level below: hashes of the values with the sequence before that this one follows; none of the first. */
  readonly follows: Level
  readonly base: number
  readonly peaks: readonly Uint8Array[]
  /** The owner's Ed25519 key, 32 bytes; empty when nobody can begin another epoch. */
  readonly owner: Uint8Array
  /** What began the epoch, encoded; empty in epoch 0. */
  readonly statement: Uint8Array
  /** Which read key opens the value: 32 bytes. */
  readonly readCheck: Uint8Array
}

/** What a writer signs of version 4. */
export type UnsignedValue = RegisterOrder & BoundFields & Pick<RegisterValue, "publicKey" | "sealed" | "care">

/**
 * Hashes of the values that one follows, at index i those whose sequence is i + 1 less: more than one where writers raced and
 * the next one merged. Each list is ascending and complete; older lists are left out.
 */
export type Lineage = readonly (readonly Uint8Array[])[]
