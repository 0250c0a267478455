/** What the pool and its workers say to each other. */
import type { Coding } from "@holdfast/protocol"
import type { OpenRequest } from "../pipeline.ts"
import type { ChunkKey } from "../seal.ts"
import type { ChunkId } from "../types.ts"

/** Work for a worker. */
export type WorkerRequest = { readonly ticket: number } & (
  | {
      readonly kind: "seal"
      readonly plaintext: Uint8Array
      readonly coding: Coding
      readonly key: ChunkKey
      /** Where the shares go. */
      readonly target: Uint8Array
    }
  | ({ readonly kind: "open" } & OpenRequest)
  | { readonly kind: "check"; readonly id: ChunkId; readonly share: Uint8Array }
  | {
      readonly kind: "rebuild"
      readonly shares: readonly Uint8Array[]
      readonly wanted: readonly number[]
      /** Where what is made goes. */
      readonly target: Uint8Array
    }
)

/** Its answer: a result, or an error in parts (classes do not survive the way). */
export interface WorkerAnswer {
  readonly ticket: number
  readonly result?: unknown
  /** The arrays of the request, moved back to be used again. */
  readonly returned?: readonly Uint8Array[]
  readonly error?: { readonly message: string; readonly code?: string | undefined; readonly details?: unknown }
}
