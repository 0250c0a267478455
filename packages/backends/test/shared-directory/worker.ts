/**
 * One of several processes that use a directory at the same time: puts, marks, reads, writes registers and collects until its input
 * ends. A line on its output for each chunk that the place took and that must be there from then on.
 */
import assert from "node:assert/strict"
import { equal, fromHex, toHex } from "@holdfast/core"
import { nodeCrypto as crypto, systemClock } from "@holdfast/core/node"
import { accountIdOf, accountRoles, type Backend, registerIdOf } from "@holdfast/protocol"
import { makeChunk, makeOrder, makeRegisterValue, newBatch } from "@holdfast/protocol/testing"
import { openDirectoryBackend } from "../../src/directory/index.ts"

const hourMs = 3_600_000
const [dir = "", role = "", seedHex = ""] = process.argv.slice(2)
const seed = fromHex(seedHex)
const publicKey = await crypto.publicKeyOf(seed)
const account = { seed, publicKey, account: accountIdOf(publicKey), roles: accountRoles }
let aheadMs = 0
const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + aheadMs }

let isOver = false
process.stdin.on("end", () => {
  isOver = true
})
process.stdin.resume()

/** Some chunks are the same in all processes, so that they mark each other's; their sizes go into rows and into files. */
function chunkOf(name: string, number: number) {
  const bytes = new Uint8Array(number % 3 === 0 ? 90_000 : 2000)
  new TextEncoder().encodeInto(`${name} ${number}`, bytes)
  return makeChunk(crypto, bytes)
}

function say(word: string, what: string): void {
  process.stdout.write(`${word} ${what}\n`)
}

async function put(place: Backend, from: number): Promise<void> {
  const own = await Promise.all([0, 1, 2, 3].map((i) => chunkOf(i < 2 ? "common" : seedHex, from + i)))
  const value = await makeRegisterValue(crypto, seed, from + 1, `round ${from}`)
  // Whoever collects moves the place's clock by a day: marks are then too old for a value that comes after them, and made again.
  for (let attempt = 1; ; attempt++) {
    const batch = newBatch(crypto, [account.account])
    const outcomes = await place.putShares(
      own.map(({ shares }) => shares[0]!),
      batch,
    )
    for (const outcome of outcomes) assert.ok(outcome.ok, JSON.stringify(outcome))
    const [outcome] = await place.proposeRegisters([value], batch)
    if (outcome!.accepted) {
      assert.ok(outcome!.vouches)
      break
    }
    assert.ok(outcome!.marksGone && attempt < 20, JSON.stringify(outcome))
  }
  for (const { id } of own) say("put", toHex(id))
  say("register", `${toHex(registerIdOf(publicKey))} ${from + 1}`)
  const got = await place.getShares(own.map(({ id }) => ({ id })))
  for (const [i, share] of got.entries()) assert.ok(share && equal(share, own[i]!.shares[0]!), `chunk ${from + i}`)
}

/** Puts as well, and takes its marks away when they are old enough, which its clock sees to. */
async function collect(place: Backend, from: number): Promise<void> {
  const chunks = await Promise.all([0, 1, 2, 3].map((i) => chunkOf(i < 2 ? "common" : seedHex, from + i)))
  const outcomes = await place.putShares(
    chunks.map(({ shares }) => shares[0]!),
    newBatch(crypto, [account.account]),
  )
  for (const outcome of outcomes) assert.ok(outcome.ok, JSON.stringify(outcome))
  aheadMs += 25 * hourMs
  const ids = chunks.map(({ id }) => id)
  const done = await place.unmark(await makeOrder(crypto, place, { seed, chunks: ids }))
  assert.deepEqual([done.marks, done.young], [4, 0])
  say("collected", String(done.shares))
}

/** Lists and reads all of its own, and looks whether anything is missing. */
async function check(place: Backend, from: number): Promise<void> {
  if (from === 0) await put(place, from)
  const marks = await place.listMarks({ limit: 1000 })
  const shares = await place.getShares(marks)
  assert.ok(shares.every((share) => share !== undefined))
  assert.equal((await place.usage()).shareCount, marks.length)
}

const place = await openDirectoryBackend({
  id: "d",
  dir,
  crypto,
  clock,
  access: account,
  reservedBytes: 0,
  waitMs: 15_000,
})
say("open", role)
const work = { put, collect, check }[role as "put" | "collect" | "check"]
for (let round = 0; !isOver; round++) await work(place, 4 * round)
await place.close()
say("closed", role)
