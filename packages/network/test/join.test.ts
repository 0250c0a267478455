/** What a machine that joins believes of an answer: the authority that the invitation names, and nothing that contradicts itself. */
import assert from "node:assert/strict"
import { generateKeyPairSync } from "node:crypto"
import { access } from "node:fs/promises"
import { join as joinPath } from "node:path"
import { type TestContext, test } from "node:test"
import { fromUtf8, isHoldfastError } from "@holdfast/core"
import { encodeInvite, type GridDescription } from "@holdfast/protocol"
import { type Authority, join, publicKeyText, signGrid } from "../src/index.ts"
import { newAuthority, newMember, serve, temporaryDirectory } from "./fixtures.ts"

const key = generateKeyPairSync("ed25519").privateKey
const gridPublicKey = publicKeyText(key)
const alice = { memberId: "alice", role: "client", tenant: "acme" } as const
const dayMs = 86_400_000

const gridOf = (caPem: string): GridDescription => ({
  ...{ version: 3, gridId: "grid", epoch: 1, gridPublicKey, name: "grid", serial: 1, previous: null },
  ...{ issuedMs: Date.now(), coordinator: "127.0.0.1:1", caPem, coding: { k: 1, happy: 1, n: 1 } },
  ...{ registerMode: "crash", voters: [], servers: [], revoked: [], root: null },
})

/** Joins at a coordinator that answers with `change` over an honest answer. */
async function joinAt(
  t: TestContext,
  change: (honest: Record<string, unknown>, csr: string, authority: Authority) => Promise<object> | object,
  invited: { readonly by?: Authority; readonly expiryMs?: number; readonly name?: string } = {},
) {
  const authority = await newAuthority(t)
  const identity = await newMember(authority, { memberId: "c1", role: "coordinator", tenant: "grid" })
  let requests = 0
  const answer = async (body: string) => {
    const { csr } = JSON.parse(body) as { csr: string }
    const certPem = await authority.sign(csr, alice)
    const grid = signGrid(gridOf(authority.caPem), key)
    const honest = { memberId: "alice", certPem, coordinatorId: "c1", gridPublicKey, grid }
    return JSON.stringify({ ...honest, ...(await change(honest, csr, authority)) })
  }
  const port = await serve(
    t,
    identity,
    (request, response) => {
      requests++
      const parts: Uint8Array[] = []
      request.on("data", (part: Uint8Array) => parts.push(part))
      request.on("end", () => void answer(fromUtf8(Buffer.concat(parts))).then((text) => response.end(text)))
    },
    { requireClientCertificate: false },
  )
  const { by = authority, expiryMs = Date.now() + dayMs, name = "laptop" } = invited
  const invite = { address: `127.0.0.1:${port}`, caFingerprint: by.fingerprint, token: new Uint8Array(32), expiryMs }
  const dir = joinPath(await temporaryDirectory(t), "identity")
  const joined = join(encodeInvite(invite), { dir, name })
  return { joined, requests: () => requests, dir }
}

test("an honest answer makes a member", async (t) => {
  const { joined, dir } = await joinAt(t, () => ({}))
  assert.deepEqual((await joined).memberId, "alice")
  await access(joinPath(dir, "member.json"))
})

test("an answer that contradicts itself is refused, and nothing of it is kept", async (t) => {
  const other = await newAuthority(t)
  const lies = {
    "names another member than its certificate": () => ({ memberId: "bob" }),
    "describes a grid of another authority": () => ({ grid: signGrid(gridOf(other.caPem), key) }),
    "has a certificate of another authority": async (_: unknown, csr: string) => ({
      certPem: await other.sign(csr, alice),
    }),
    "has a certificate for another key": async (_: unknown, __: string, authority: Authority) => ({
      certPem: (await newMember(authority, alice)).certPem,
    }),
    "has a grid that another key signed": () => ({
      grid: signGrid(gridOf(other.caPem), generateKeyPairSync("ed25519").privateKey),
    }),
  }
  for (const [name, lie] of Object.entries(lies)) {
    const { joined, dir } = await joinAt(t, lie)
    await assert.rejects(joined, isHoldfastError, name)
    await assert.rejects(access(dir), name)
  }
})

test("neither a server of another authority, nor anybody for an invitation that is over, is sent the token", async (t) => {
  const elsewhere = await joinAt(t, () => ({}), { by: await newAuthority(t) })
  await assert.rejects(elsewhere.joined, { code: "ERR_INVITE" })
  const late = await joinAt(t, () => ({}), { expiryMs: Date.now() - 1000 })
  await assert.rejects(late.joined, { code: "ERR_INVITE" })
  const nameless = await joinAt(t, () => ({}), { name: "no name" })
  await assert.rejects(nameless.joined, { code: "ERR_INVALID_ARGUMENT" })
  assert.deepEqual([elsewhere.requests(), late.requests(), nameless.requests()], [0, 0, 0])
})
