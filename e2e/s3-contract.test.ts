/** The contract of every backend, kept by a bucket of a real Ceph gateway and of a real Swift. */
import assert from "node:assert/strict"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, describe, it } from "node:test"
import { createS3Backend, parseS3Location, probeBucket } from "@holdfast/backends/s3"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
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
  readonly timeStepMs: number
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
    timeStepMs: 1,
  },
  {
    name: "Swift, which refuses conditional writes",
    missing: missingSwiftPrograms(),
    start: startSwift,
    conditionalWrites: [false],
    timeStepMs: 1000,
  },
]

for (const { name, missing, start, conditionalWrites, timeStepMs } of kinds) {
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
        async () =>
          createS3Backend({
            id: "bucket",
            crypto,
            clock,
            conditionalWrites: conditional,
            touchAfterMs: 0,
            location: place(),
          }),
        { timeStepMs },
      )

    it("is found out to write conditionally or not, to list what was written, to renew times", async () => {
      const { latencyMs, ...found } = await probeBucket(place(), { crypto })
      assert.deepEqual(found, { conditionalWrites: conditionalWrites.includes(true), listing: true, touching: true })
      assert.ok(latencyMs > 0)
    })
  })
}
