import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as paths from "node:path"
import { test } from "node:test"
import { HoldfastError } from "@holdfast/core"
import { createHarness, type Harness } from "./files-harness.ts"

const mib = 1024 * 1024

/** Counts bytes of shares that are put, and can refuse registers, so that an upload does not come to its end. */
function watched({ backends }: Harness) {
  const state = { sentBytes: 0, refuses: false }
  for (const backend of backends) {
    const { putShares, proposeRegisters } = backend
    backend.putShares = (shares, options) => {
      state.sentBytes += shares.reduce((sum, share) => sum + share.length, 0)
      return putShares(shares, options)
    }
    backend.proposeRegisters = (values, options) =>
      state.refuses ? Promise.reject(new HoldfastError("ERR_REFUSED", "not now")) : proposeRegisters(values, options)
  }
  return state
}

test("what an upload stored before it broke off is not sent again to its place, is to another, and then all is forgotten", async (t) => {
  const harness = await createHarness(t)
  await harness.run("mkdir", "home:/d") // the account is known at the servers from here on
  const state = watched(harness)
  const file = paths.join(harness.folder, "disk")
  fs.writeFileSync(file, randomBytes(9 * mib))
  const secrets = () => fs.readdirSync(paths.join(harness.folder, "uploads"))
  const put = async (to: string) => {
    state.sentBytes = 0
    await harness.run("put", file, to)
    return state.sentBytes
  }
  state.refuses = true
  await assert.rejects(put("home:/disk"))
  const whole = state.sentBytes
  assert.ok(whole > 9 * mib * (5 / 3))
  assert.equal(secrets().length, 1)
  assert.equal(fs.statSync(paths.join(harness.folder, "uploads", secrets()[0]!)).mode & 0o777, 0o600)
  await harness.reopen()
  await assert.rejects(put("home:/elsewhere"))
  assert.ok(state.sentBytes > 9 * mib * (5 / 3), "the same content at another place is new")
  state.refuses = false
  await harness.reopen()
  assert.ok((await put("home:/disk")) < 0.01 * whole, `${state.sentBytes} of ${whole} bytes were sent again`)
  assert.deepEqual(secrets(), [])
  const copy = paths.join(harness.folder, "copy")
  await harness.run("get", "home:/disk", copy)
  assert.ok(fs.readFileSync(copy).equals(fs.readFileSync(file)))
  await harness.run("rm", "home:/disk")
  await harness.reopen()
  assert.ok((await put("home:/disk")) > 9 * mib * (5 / 3), "a new upload has keys of its own")
})

test("of a secret that is damaged a new one is made, and small files leave none", async (t) => {
  const harness = await createHarness(t)
  await harness.run("mkdir", "home:/d") // the account is known at the servers from here on
  const state = watched(harness)
  fs.writeFileSync(paths.join(harness.folder, "small"), randomBytes(70_000))
  state.refuses = true
  await assert.rejects(harness.run("put", paths.join(harness.folder, "small"), "home:/small"))
  assert.ok(!fs.existsSync(paths.join(harness.folder, "uploads")))
  fs.writeFileSync(paths.join(harness.folder, "large"), randomBytes(2 * mib))
  const put = () => harness.run("put", paths.join(harness.folder, "large"), "home:/large")
  await assert.rejects(put())
  const folder = paths.join(harness.folder, "uploads")
  const secret = paths.join(folder, fs.readdirSync(folder)[0]!)
  fs.writeFileSync(secret, "torn")
  await assert.rejects(put())
  assert.match(fs.readFileSync(secret, "utf8"), /^[0-9a-f]{64}$/)
})

test("a note of an upload that cannot be removed is told, and fails nothing: all of it is stored", async (t) => {
  const harness = await createHarness(t)
  fs.writeFileSync(paths.join(harness.folder, "large"), randomBytes(2 * mib))
  const { profile } = harness.session()
  profile.uploadDone = async () => {
    throw new Error("EACCES: permission denied")
  }
  await harness.run("put", paths.join(harness.folder, "large"), "home:/large")
  assert.match(harness.warnings.join(""), /All of it is stored, but .*could not be removed: EACCES/)
  await harness.run("get", "home:/large", paths.join(harness.folder, "back"))
  const [was, is] = ["large", "back"].map((name) => fs.readFileSync(paths.join(harness.folder, name)))
  assert.ok(was!.equals(is!))
})
