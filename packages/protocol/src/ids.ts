/** Names of things, each 32 bytes of a hash but for the batch token. */

/** SHA-256 that names a chunk: 32 bytes. */
export type ChunkId = Uint8Array & { readonly __id?: "chunk" }

/** SHA-256 that names a register: 32 bytes. */
export type RegisterId = Uint8Array & { readonly __id?: "register" }

/** Names what one command marks until its commit: 16 random bytes that its client chooses. */
export type BatchToken = Uint8Array & { readonly __id?: "batch" }

/** Hash that names an account: 32 bytes. */
export type AccountId = Uint8Array & { readonly __id?: "account" }
