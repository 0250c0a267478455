/** The contract of every place, kept by a bucket whose sweeper runs after each order, as often as it takes. */
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { accountRoles, type Backend } from "@holdfast/protocol"
import { backendContract, type TestAccount } from "@holdfast/protocol/testing"
import { type BucketBackend, createObjectBackend } from "../src/s3/objects.ts"
import { MemoryBucket } from "./memory-bucket.ts"

const longMs = 25 * 3_600_000

for (const conditionalWrites of [true, false])
  backendContract(
    `a bucket ${conditionalWrites ? "with" : "without"} conditional writes`,
    async () => {
      const bucket = new MemoryBucket()
      const open = (access: TestAccount) =>
        createObjectBackend(bucket.connect(), { id: "bucket", crypto, access, conditionalWrites })
      return {
        backendOf: async (access) => swept(open(access), open({ ...access, roles: accountRoles }), bucket),
        advance(ms) {
          bucket.nowMs += ms
        },
        close: async () => undefined,
      }
    },
    { cannot: ["roles", "batches", "kept", "charges"] },
  )

/**
 * A bucket learns of marks with the commit, and forgets only in two runs of a sweeper: here both follow at once, so that the
 * contract can look at the result.
 */
function swept(backend: BucketBackend, sweeper: BucketBackend, bucket: MemoryBucket): Backend {
  const writeMarks = async <T>(outcome: T): Promise<T> => {
    await backend.listRegisters({ limit: 1 }).catch(() => undefined) // not everybody may list
    return outcome
  }
  return {
    ...backend,
    putShares: async (...args) => writeMarks(await backend.putShares(...args)),
    markShares: async (...args) => writeMarks(await backend.markShares(...args)),
    async unmark(order) {
      const outcome = await backend.unmark(order)
      if (outcome.marks === 0) return outcome
      await sweeper.sweep()
      bucket.nowMs += longMs
      const { shares, bytes } = await sweeper.sweep()
      return { ...outcome, shares, bytes }
    },
  }
}
