/** The backend over objects, over a bucket in memory with the semantics of S3: whole and partial reads, conditional writes. */

import { HoldfastError } from "@holdfast/core"
import { nodeCrypto, systemClock } from "@holdfast/core/node"
import { backendContract } from "@holdfast/protocol/testing"
import { type Bucket, createObjectBackend } from "../src/s3/objects.ts"

/** A bucket that keeps its objects here. */
function memoryBucket(): Bucket {
  const objects = new Map<string, { bytes: Uint8Array; modifiedMs: number }>()
  return {
    name: "memory",
    async put(key, bytes, { ifAbsent = false } = {}) {
      if (ifAbsent && objects.has(key)) return "exists"
      objects.set(key, { bytes: bytes.slice(), modifiedMs: Date.now() })
      return "stored"
    },
    async get(key, maxBytes) {
      const bytes = objects.get(key)?.bytes
      if (bytes && bytes.length > maxBytes) throw new HoldfastError("ERR_LIMIT", `${key} is too large.`)
      return bytes?.slice()
    },
    async getPart(key, offset, length) {
      const bytes = objects.get(key)?.bytes
      if (length < 1) throw new HoldfastError("ERR_REMOTE", "S3 has no empty ranges.")
      return bytes && offset < bytes.length ? bytes.slice(offset, offset + length) : undefined
    },
    async list(prefix, { after = "", limit }) {
      const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort()
      return keys.slice(0, limit).map((key) => {
        const { bytes, modifiedMs } = objects.get(key)!
        return { key, sizeBytes: bytes.length, modifiedMs }
      })
    },
    async touch(key) {
      const object = objects.get(key)
      if (object) object.modifiedMs = Date.now()
      return object !== undefined
    },
    async remove(key) {
      objects.delete(key)
    },
    close: () => undefined,
  }
}

backendContract("objects of a bucket in memory", async () =>
  createObjectBackend(memoryBucket(), {
    id: "bucket",
    crypto: nodeCrypto,
    clock: systemClock,
    conditionalWrites: true,
    touchAfterMs: 0,
  }),
)
