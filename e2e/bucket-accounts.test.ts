/**
 * Accounts of a volume over buckets of a real Ceph gateway: listed, dropped, kept, and swept once the grace is over by the gateway's
 * clock.
 */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { setTimeout as delay } from "node:timers/promises"
import { credentialLines, listBucket, makeBucket } from "./bucket.ts"
import { missingCephPrograms, startCeph } from "./ceph.ts"
import { createClient } from "./client.ts"
import { makeClock, missingForClocks } from "./soak/clock.ts"

const missing = [...missingCephPrograms(), ...(missingForClocks ? [missingForClocks] : [])]
const why = missing.length > 0 && `not installed: ${missing.join(", ")}`
if (why) assert.ok(!process.env["HOLDFAST_REQUIRE_ALL"], why)

const buckets = ["accounts-1", "accounts-2", "accounts-3"]
const keysOf = (bucket: string) => ({ accessKey: `KEYOF${bucket}`, secretKey: `secret-of-${bucket}` })
const daySeconds = 86_400

interface Listed {
  readonly accounts: { readonly id: string; readonly shares: number; readonly droppedAtMs: number | null }[]
  readonly errors: Record<string, string>
}

test("an account is listed, dropped, kept, and after thirty days its shares go, and nobody else's", {
  skip: why,
}, async (t) => {
  const [admin, guest] = [createClient(), createClient()]
  t.after(() => [admin, guest].map((client) => client.close()))
  const clock = makeClock(`${admin.folder}/gateway.clock`)
  const ceph = await startCeph({ gatewayEnv: clock.env })
  t.after(() => ceph.stop())
  const pass = async (seconds: number) => {
    clock.advance(seconds)
    await delay(1200) // the gateway looks at its clock each second
  }
  for (const bucket of buckets) {
    await ceph.addUser(bucket, keysOf(bucket))
    await makeBucket(ceph.endpoint, keysOf(bucket), bucket)
    fs.writeFileSync(`${admin.folder}/${bucket}.keys`, credentialLines(keysOf(bucket)), { mode: 0o600 })
  }
  const places = buckets.map(
    (bucket) => `s3://${bucket}?endpoint=${ceph.endpoint}&credentials=${admin.folder}/${bucket}.keys`,
  )
  /** All objects that are shares. */
  const shares = async () => {
    const keys = await Promise.all(
      buckets.map(async (bucket) =>
        (await listBucket(ceph.endpoint, keysOf(bucket), bucket)).map((key) => `${bucket}/${key}`),
      ),
    )
    return new Set(keys.flat().filter((key) => key.includes("/shares/")))
  }
  const list = async () => {
    const { accounts, errors } = await admin.json<Listed>(["volume", "accounts", "list", "clouds"])
    assert.deepEqual(errors, {})
    return new Map(accounts.map((account) => [account.id, account]))
  }
  const of = async (client: typeof admin) => (await client.json<{ id: string }>(["account", "show"])).id

  await admin.run(["volume", "create", "clouds", "--coding", "2/2/3", "--backend", ...places])
  await admin.run(["put", "-", "clouds:/ours"], { input: Buffer.alloc(200_000, 1) })
  fs.writeFileSync(`${guest.folder}/clouds.json`, (await admin.run(["volume", "export", "clouds"])).stdout)
  await guest.run(["volume", "import", "--file", "clouds.json", "--yes"])
  const ours = await shares()
  await guest.run(["alias", "create", "theirs"])
  await guest.run(["put", "-", "theirs:/file"], { input: Buffer.alloc(200_000, 2) })
  const theirs = [...(await shares())].filter((key) => !ours.has(key))
  assert.ok(theirs.length >= 3)
  const [host, dropped] = [await of(admin), await of(guest)]
  const before = await list()
  assert.ok(before.get(host)!.shares > 0 && before.get(dropped)!.shares > 0 && before.size === 2)
  assert.equal(before.get(dropped)!.droppedAtMs, null)

  await admin.run(["volume", "accounts", "drop", "clouds", dropped.slice(0, 10)])
  assert.ok((await list()).get(dropped)!.droppedAtMs! > Date.now() + 29 * daySeconds * 1000)
  const put = () => guest.run(["put", "-", "theirs:/more"], { input: Buffer.alloc(100_000, 3), code: "any" })
  const refused = await put()
  assert.equal(refused.code, 6, refused.stderr)
  assert.match(refused.stderr, /was dropped by the administrator/)
  await guest.run(["cat", "theirs:/file"])
  await admin.run(["volume", "accounts", "keep", "clouds", dropped])
  assert.equal((await list()).get(dropped)!.droppedAtMs, null)
  assert.equal((await put()).code, 0)

  await admin.run(["volume", "accounts", "drop", "clouds", dropped])
  await pass(29 * daySeconds)
  for (const _ of [1, 2]) {
    await admin.run(["gc"])
    await pass(daySeconds / 4)
  }
  const there = await shares()
  assert.deepEqual(
    theirs.filter((key) => !there.has(key)),
    [],
    "thirty days are not over",
  )
  for (const _ of [1, 2, 3]) {
    await pass(1.1 * daySeconds)
    await admin.run(["gc"])
  }
  const left = await shares()
  assert.deepEqual(
    theirs.filter((key) => left.has(key)),
    [],
    "what the dropped account alone marked is gone",
  )
  const late = await admin.run(["volume", "accounts", "keep", "clouds", dropped, "--json"], { code: "any" })
  assert.match(late.stdout, /time of account .* is over/)
  const after = await list()
  assert.ok(after.get(host)!.shares > 0)
  assert.equal(after.get(dropped)?.shares ?? 0, 0)
  const { stdout } = await admin.run(["cat", "clouds:/ours"])
  assert.equal(stdout.length, 200_000)
  await admin.run(["check", "--deep", "--verify", "clouds:"])
})
