/** The contract of every backend, kept by a bucket of a real Ceph gateway and of a real Swift. */
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, describe, it } from "node:test"
import { type BucketBackend, createS3Backend, parseS3Location, probeBucket } from "@holdfast/backends/s3"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import type { Backend } from "@holdfast/protocol"
import { backendContract } from "@holdfast/protocol/testing"
import { credentialLines, type Keys, makeBucket } from "./bucket.ts"
import { missingCephPrograms, startCeph } from "./ceph.ts"
import { missingSwiftPrograms, startSwift } from "./swift.ts"

interface Service {
  readonly endpoint: string
  readonly keys: Keys
  stop(): Promise<void>
}

interface Kind {
  readonly name: string
  readonly missing: readonly string[]
  start(): Promise<Service>
  /** The ways in which a backend may use it. */
  readonly conditionalWrites: readonly boolean[]
}

const kinds: Kind[] = [
  {
    name: "Ceph",
    missing: missingCephPrograms(),
    async start() {
      const keys = { accessKey: "CONTRACTKEY", secretKey: "contract-secret" }
      const ceph = await startCeph()
      await ceph.addUser("contract", keys)
      return { endpoint: ceph.endpoint, keys, stop: ceph.stop }
    },
    conditionalWrites: [true, false],
  },
  {
    name: "Swift, which refuses conditional writes",
    missing: missingSwiftPrograms(),
    start: startSwift,
    conditionalWrites: [false],
  },
]

for (const { name, missing, start, conditionalWrites } of kinds) {
  const why = missing.length > 0 && `not installed: ${missing.join(", ")}`
  if (why) assert.ok(!process.env["HOLDFAST_REQUIRE_ALL"], why)
  describe(`a bucket of ${name}`, { skip: why }, () => {
    let service: Service | undefined
    let folder = ""
    let prefixes = 0
    const place = () =>
      parseS3Location(`s3://contract/p${prefixes++}?endpoint=${service!.endpoint}&credentials=${folder}/keys`)
    before(async () => {
      service = await start()
      folder = await mkdtemp(join(tmpdir(), "holdfast-s3-"))
      await writeFile(join(folder, "keys"), credentialLines(service.keys), { mode: 0o600 })
      await makeBucket(service.endpoint, service.keys, "contract")
    })
    after(async () => {
      await service?.stop()
      await rm(folder, { recursive: true, force: true })
    })

    for (const conditional of conditionalWrites)
      backendContract(
        `S3 ${conditional ? "with" : "without"} conditional writes`,
        async () => {
          const location = place()
          const open: BucketBackend[] = []
          return {
            async backendOf(access) {
              const backend = createS3Backend({
                id: "bucket",
                crypto,
                access,
                conditionalWrites: conditional,
                location,
              })
              open.push(backend)
              return writingMarks(backend)
            },
            close: async () => void (await Promise.all(open.map((backend) => backend.close()))),
          }
        },
        { cannot: ["roles", "batches", "kept", "charges"] },
      )

    it("is found out to write conditionally or not, to list at once what was written, to delete", async () => {
      const { latencyMs, ...found } = await probeBucket(place(), { crypto })
      assert.deepEqual(found, {
        conditionalWrites: conditionalWrites.includes(true),
        listing: "strong",
        deleting: true,
      })
      assert.ok(latencyMs > 0)
    })
  })
}

/** A bucket learns of marks with the commit: here at once, so that the contract can look at them. */
function writingMarks(backend: BucketBackend): Backend {
  const after = async <T>(outcome: T): Promise<T> => {
    await backend.listRegisters({ limit: 1 })
    return outcome
  }
  return {
    ...backend,
    putShares: async (...args) => after(await backend.putShares(...args)),
    markShares: async (...args) => after(await backend.markShares(...args)),
  }
}
