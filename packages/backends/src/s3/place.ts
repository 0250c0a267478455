/** What all calls of a bucket's backend share: where, for whom, and how carefully. */
import { type CryptoProvider, HoldfastError } from "@holdfast/core"
import type { AccountId } from "@holdfast/protocol"
import type { Bucket } from "./bucket.ts"

/** A bucket as one account uses it. */
export interface Place {
  readonly bucket: Bucket
  /** `Backend.id`. */
  readonly id: string
  readonly crypto: CryptoProvider
  /** The bucket refuses to replace an object when asked to. */
  readonly conditional: boolean
  /** Whose backend it is; without one it only reads. */
  readonly account: AccountId | undefined
  /** Nothing younger is taken away, by the bucket's own clock. */
  readonly graceMs: number
  /** A list may miss what was written within so long; 0 where lists are strong. */
  readonly listDelayMs: number
  /** The volume's epoch that the caller knows. */
  readonly epoch: number
  /** The latest time that the bucket has said; only ever used to do something earlier than needed. */
  newestMs(): number
}

/** `bucket`, and the latest time that it has said. */
export function timed(bucket: Bucket): { readonly bucket: Bucket; newestMs(): number } {
  let newest = 0
  const seen = <T extends { readonly atMs: number } | undefined>(answer: T): T => {
    newest = Math.max(newest, answer?.atMs ?? 0)
    return answer
  }
  const { put, get, list } = bucket
  return {
    bucket: {
      ...bucket,
      put: async (...args) => seen(await put(...args)),
      get: async (...args) => seen(await get(...args)),
      list: async (...args) => seen(await list(...args)),
    },
    newestMs: () => newest,
  }
}

/** The account of `place`. Throws ERR_REFUSED without one. */
export function ownAccount({ account, id }: Place): AccountId {
  if (account) return account
  throw new HoldfastError("ERR_REFUSED", `Bucket ${id} is opened for no account, so it is read only.`, { server: id })
}
