/** Values of registers that no key opens, left by a fellow writer or by whoever has a stolen device: the others go on collecting. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { nodeCrypto as crypto, nodeEnv } from "@holdfast/core/node"
import {
  decodeCap,
  decodeRegisterValue,
  deviceListSecret,
  peaksOver,
  readCheckOf,
  registerHashOf,
  registerIdOf,
  signBoundValue,
  signGrant,
  verifyKeyOf,
} from "@holdfast/protocol"
import { keysOfCap, type RegisterKeys } from "@holdfast/store"
import { emptyCare, encodeCare } from "@holdfast/tree"
import { appendOnlyRoles, listKeysOn } from "../../client/src/account/account.ts"
import { changeAccountList } from "../../client/src/account/list.ts"
import { createHarness, type Harness } from "./files-harness.ts"

const day = 86_400_000

/** Puts behind the newest value one that anybody may sign who may write, and nobody opens. */
async function leaveJunk({ backends }: Harness, keys: Required<RegisterKeys>): Promise<void> {
  const [bytes] = await backends[0]!.readRegisters([registerIdOf(keys.publicKey)])
  const { sequence, epoch, bound } = await decodeRegisterValue(crypto, bytes!)
  const follows = [registerHashOf(bytes!)]
  const junk = await signBoundValue(crypto, keys.seed, {
    ...{ publicKey: keys.publicKey, epoch, sequence: sequence + 1, follows, base: sequence },
    ...{ peaks: peaksOver(sequence, [follows]), owner: bound!.owner, statement: bound!.statement },
    ...{ readCheck: readCheckOf(verifyKeyOf(keys.readKey)), care: crypto.random(99), sealed: crypto.random(99) },
  })
  for (const backend of backends) assert.ok((await backend.proposeRegisters([junk]))[0]!.accepted)
}

async function errorsOfGc(owner: Harness): Promise<object> {
  owner.pass(3 * day)
  return (await owner.json<{ errors: object }>("gc")).errors
}

test("an append-only device whose list no key opens is named, and stops no collection", async (t) => {
  const owner = await createHarness(t)
  fs.writeFileSync(`${owner.folder}/file`, crypto.random(300_000))
  await owner.run("put", `${owner.folder}/file`, "home:/file")
  const session = owner.session()
  const { keys } = await session.profile.account()
  const deviceKey = crypto.random(32)
  const grant = await signGrant(nodeEnv.crypto, keys!.collectSeed, {
    ...{ epoch: 1, deviceKey, roles: appendOnlyRoles, name: "camera" },
  })
  await changeAccountList(session, (list) => ({ ...list, epoch: 1, grants: [grant] }))
  const listKeys = await listKeysOn({ listSecret: deviceListSecret(keys!, deviceKey) }, session.storage)
  const parts = { content: crypto.random(9), care: encodeCare(emptyCare) }
  assert.ok(await session.store.registers.write(listKeys, 0, parts))
  await leaveJunk(owner, listKeys)
  assert.deepEqual(await errorsOfGc(owner), {})
  assert.match(owner.warnings.join(), /append-only device "camera" cannot be read/)
})

test("a tree whose newest value no key opens stops collecting, since nobody knows what it needs, until it is removed", async (t) => {
  const owner = await createHarness(t)
  const { publicKey, readKey, seed } = await keysOfCap(crypto, decodeCap(owner.aliases.get("home")!))
  await leaveJunk(owner, { publicKey, readKey, seed: seed! })
  await assert.rejects(owner.run("gc"), { code: "ERR_CORRUPT" })
  await owner.run("alias", "remove", "home", "--yes")
  assert.deepEqual(await errorsOfGc(owner), {})
})
