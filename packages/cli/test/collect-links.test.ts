/** Linked trees beside a collection: what somebody links while another device collects is there afterwards. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { equal } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { decodeCap, registerIdOf, toVerifyCap } from "@holdfast/protocol"
import { createHarness, type Harness, linkInner } from "./files-harness.ts"

const day = 86_400_000

/** Runs `work` once, before `harness` first asks for the register of an alias. */
async function beforeReadOf(harness: Harness, alias: string, work: () => Promise<void>): Promise<() => boolean> {
  const cap = decodeCap(harness.aliases.get(alias)!)
  assert.ok(cap.kind === "dw")
  const id = registerIdOf((await toVerifyCap(nodeCrypto, cap)).publicKey)
  let once: Promise<void> | undefined
  for (const backend of harness.backends) {
    const { readRegisters } = backend
    backend.readRegisters = async (ids) => {
      if (ids.some((one) => equal(one, id))) once ??= work()
      await once
      return readRegisters(ids)
    }
  }
  return () => once !== undefined
}

test("a link that is copied to another tree, and removed where it was, keeps what it links beside a collection", async (t) => {
  const laptop = await createHarness(t)
  const { run, folder } = laptop
  const bytes = Buffer.alloc(300_000, 3)
  await run("alias", "create", "project")
  await linkInner(laptop, bytes, "project:/linked")
  await run("alias", "remove", "inner", "--yes")
  await run("keep", "none")
  await run("gc")
  laptop.pass(2 * day)
  const phone = await laptop.other("same")
  await phone.run("alias", "list")
  await laptop.reopen()
  const isDone = await beforeReadOf(laptop, "project", async () => {
    await phone.run("cp", "project:/linked", "home:/linked")
    await phone.run("rm", "project:/linked")
  })
  await run("gc")
  assert.ok(isDone())
  laptop.pass(2 * day)
  await run("gc")
  await phone.reopen()
  await phone.run("get", "home:/linked/file", `${folder}/back`)
  assert.ok(fs.readFileSync(`${folder}/back`).equals(bytes))
})

test("a fellow writer who drops a link with all history takes no linked tree away while its versions are kept", async (t) => {
  const alice = await createHarness(t)
  const bob = await alice.other()
  const { run, folder } = alice
  const bytes = Buffer.alloc(300_000, 3)
  await linkInner(alice, bytes)
  await run("alias", "remove", "inner", "--yes")
  await run("gc")
  alice.pass(2 * day)
  fs.writeFileSync(`${folder}/home.cap`, await run("cap", "home:"), { mode: 0o600 })
  await bob.run("alias", "add", "shared", "--cap-file", `${folder}/home.cap`)
  await bob.run("rm", "shared:/linked")
  await bob.run("keep", "none")
  await bob.run("gc") // writes every older version out of the tree
  for (const harness of [alice, bob, alice]) {
    alice.pass(2 * day)
    await harness.run("gc")
  }
  await alice.reopen()
  await run("alias", "add", "back", "--cap-file", `${folder}/inner.cap`)
  await run("get", "back:/file", `${folder}/back`)
  assert.ok(fs.readFileSync(`${folder}/back`).equals(bytes))
})
