/** Which values of a register every place takes: small steps, one owner, one read key, and epochs that the owner began. */
import assert from "node:assert/strict"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { hashSmall, utf8 } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import {
  type Backend,
  mountainsOf,
  rankOf,
  registerHashOf,
  registerIdOf,
  signBoundValue,
  signEpochStatement,
  type UnsignedValue,
} from "@holdfast/protocol"
import { openDirectoryBackend } from "../src/directory/index.ts"
import { registerKey } from "../src/s3/keys.ts"

const [seed, ownerSeed] = [nodeCrypto.random(32), nodeCrypto.random(32)]
const [publicKey, owner] = await Promise.all([nodeCrypto.publicKeyOf(seed), nodeCrypto.publicKeyOf(ownerSeed)])
const any = (name: string) => hashSmall("any", utf8(name))
const readCheck = any("read key")

function boundValue(sequence: number, changes: Partial<UnsignedValue> = {}): Promise<Uint8Array> {
  // An even number of levels, so that no peak needs to fit what is followed.
  const base = sequence === 1 ? 1 : sequence - 2 || 1
  const count = sequence - base
  const peaks = mountainsOf(count).map(() => any("peak"))
  const follows = sequence === 1 ? [] : [any("followed")]
  const bound = { follows, base, peaks, owner, statement: new Uint8Array(), readCheck }
  const sealed = { care: new Uint8Array(48), sealed: new Uint8Array(48) }
  return signBoundValue(nodeCrypto, seed, { publicKey, epoch: 0, sequence, ...bound, ...sealed, ...changes })
}

async function ofEpoch(epoch: number, sequence: number, last: number, by = ownerSeed): Promise<Uint8Array> {
  const hash = any("followed")
  const statement = await signEpochStatement(nodeCrypto, by, {
    publicKey,
    epoch,
    sequence: last,
    hash,
    writer: publicKey,
    readCheck,
  })
  return boundValue(sequence, { epoch, statement })
}

const places: Readonly<Record<string, (t: TestContext) => Promise<Backend>>> = {
  memory: async () => createMemoryBackend("m", nodeCrypto),
  directory: async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "holdfast-order-"))
    const { clock } = nodeEnv
    const backend = await openDirectoryBackend({ id: "d", dir, crypto: nodeCrypto, clock, reservedBytes: 0 })
    t.after(async () => {
      await backend.close()
      rmSync(dir, { recursive: true })
    })
    return backend
  },
}

for (const [name, open] of Object.entries(places))
  test(`${name}: takes small steps of one owner and read key, and another epoch from the owner alone`, async (t) => {
    const backend = await open(t)
    const held = async () => (await backend.readRegisters([registerIdOf(publicKey)]))[0]
    const takes = async (bytes: Uint8Array) => {
      const [outcome] = await backend.proposeRegisters([bytes])
      if (outcome!.accepted) assert.deepEqual(registerHashOf((await held())!), registerHashOf(bytes))
      return outcome!.accepted
    }
    assert.ok(await takes(await boundValue(3)))
    const far = 3 + 2 ** 20
    assert.equal(await takes(await boundValue(far + 1)), false)
    assert.equal(await takes(await boundValue(Number.MAX_SAFE_INTEGER)), false)
    assert.equal(await takes(await boundValue(4, { readCheck: any("another") })), false)
    assert.equal(await takes(await boundValue(4, { owner: any("another") })), false)
    assert.equal(await takes(await boundValue(4, { owner: new Uint8Array() })), false)
    assert.ok(await takes(await boundValue(far)))
    assert.ok(await takes(await ofEpoch(1, 5, 4)), "behind in number, and later by the owner's word")
    assert.equal(await takes(await boundValue(far + 3)), false, "the epoch before is over")
    assert.equal(await takes(await ofEpoch(1, 7, 5)), false, "another statement of the same epoch")
    assert.equal(await takes(await ofEpoch(2, 9 + 2 ** 20, 8)), false)
    assert.ok(await takes(await ofEpoch(3, 5, 4)), "a place that was away")
    await assert.rejects(ofEpochByAnother(backend))
  })

async function ofEpochByAnother(backend: Backend): Promise<void> {
  const [outcome] = await backend.proposeRegisters([await ofEpoch(4, 5, 4, seed)])
  if (!outcome!.accepted) throw new Error(outcome!.message)
}

test("keys of a bucket list later epochs before earlier ones, and higher numbers before lower", () => {
  const id = registerIdOf(publicKey)
  const key = (epoch: number, sequence: number) => registerKey(id, rankOf({ epoch, sequence }))
  const ordered = [key(2, 3), key(1, 9), key(1, 8), key(0, 2 ** 43 - 1), key(0, 1)]
  assert.deepEqual(ordered.toSorted(), ordered)
  assert.equal(key(0, 7), registerKey(id, 7))
})
