import assert from "node:assert/strict"
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join as joinPath } from "node:path"
import { type TestContext, test } from "node:test"
import { createInvite, startCoordinator } from "@holdfast/coordinator"
import { announce, createLogger, join, loadIdentity, openAuthority } from "@holdfast/network"
import { pathsOf, profileDir } from "../../client/src/profile/paths.ts"
import { createProfile, openProfile } from "../../client/src/profile/profile.ts"
import { openSession } from "../../client/src/volumes/session.ts"
import { createContext } from "../src/context.ts"

const dayMs = 86_400_000

/** A profile that joined a real coordinator, with a certificate that ends in `days` days. */
async function setUp(t: TestContext, days: number) {
  const home = await mkdtemp(joinPath(tmpdir(), "holdfast-session-"))
  t.after(() => rm(home, { recursive: true, force: true }))
  const dir = joinPath(home, "coordinator")
  const coordinator = await startCoordinator({
    dir,
    host: "127.0.0.1",
    port: 0,
    coding: { k: 1, happy: 1, n: 1 },
    name: "test grid",
    monitor: false,
    logger: createLogger({ stream: { write: () => undefined } }),
  })
  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= coordinator.close()
    return closed
  }
  t.after(close)
  const nodeDir = joinPath(home, "n1")
  await join(await createInvite({ dir, role: "node", tenant: "grid" }), { dir: nodeDir, name: "n1" })
  await announce(nodeDir, { address: "127.0.0.1:1", capacityBytes: 1000 })

  const env = { HOME: home }
  const identityDir = joinPath(profileDir(pathsOf(env), "default"), "identity")
  await join(await createInvite({ dir, role: "client", tenant: "acme" }), { dir: identityDir, name: "alice" })
  await createProfile(pathsOf(env), "default")
  const { certPem, memberId, role, tenant } = await loadIdentity(identityDir)
  const authority = await openAuthority(joinPath(dir, "authority"))
  const certPath = joinPath(identityDir, "cert.pem")
  await writeFile(certPath, await authority.renew(certPem, { memberId, role, tenant, validDays: days }))
  const open = async () => {
    const warned: number[] = []
    const ask = () => Promise.reject(new Error("asked for a passphrase"))
    const session = await openSession(await openProfile(pathsOf(env), "default", ask), {
      onCertificateEnding: (notAfterMs) => warned.push(notAfterMs),
    })
    await session.close()
    return warned
  }
  return {
    env,
    certPath,
    open,
    close,
    identity: () => loadIdentity(identityDir),
    before: await loadIdentity(identityDir),
  }
}

test("opening a session renews a certificate with less than a third left: same key, same member, 0600, no warning", async (t) => {
  const { open, identity, before, certPath } = await setUp(t, 10)
  assert.deepEqual(await open(), [])
  const after = await identity()
  assert.ok(after.notAfterMs > Date.now() + 300 * dayMs)
  assert.deepEqual({ ...after, certPem: "", notAfterMs: 0 }, { ...before, certPem: "", notAfterMs: 0 })
  assert.equal((await stat(certPath)).mode & 0o777, 0o600)
})

test("a certificate with more than a third left is not renewed", async (t) => {
  const { open, identity, before } = await setUp(t, 200)
  assert.deepEqual(await open(), [])
  assert.deepEqual(await identity(), before)
})

test("without the coordinator the session opens all the same, and warns only in the last two weeks", async (t) => {
  for (const [days, warns] of [
    [13, true],
    [15, false],
  ] as const) {
    const { open, close, identity, before } = await setUp(t, days)
    await close()
    assert.deepEqual(await open(), warns ? [before.notAfterMs] : [], `${days} days`)
    assert.deepEqual(await identity(), before)
  }
})

test("the warning goes to standard error, with the day, and not into the output", async (t) => {
  const { env, close, before, certPath } = await setUp(t, 5)
  await close()
  const written = { stdout: "", stderr: "" }
  const stream = (name: "stdout" | "stderr") => ({ write: (text: string) => (written[name] += text), isTTY: false })
  const surroundings = {
    stdin: process.stdin,
    stdout: stream("stdout"),
    stderr: stream("stderr"),
    env,
    on: () => undefined,
  }
  const context = createContext(surroundings as unknown as NodeJS.Process, ["--json"])
  await context.openSession()
  await context.close()
  assert.equal(written.stdout, "")
  assert.match(
    written.stderr,
    RegExp(`^holdfast: warning: .*${new Date(before.notAfterMs).toISOString().slice(0, 10)}`),
  )
  assert.equal(written.stderr.includes(await readFile(certPath, "utf8")), false)
})
