import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as paths from "node:path"
import { test } from "node:test"
import { HoldfastError } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { decodeCap, encodeCap, toReadCap } from "@holdfast/protocol"
import { paddedLength } from "@holdfast/store"
import type { Leakage } from "../src/commands/files/leakage-meter.ts"
import { createHarness } from "./files-harness.ts"

const mib = 1024 * 1024

test("leakage tells padding, sizes, versions and what each server holds, as they are", async (t) => {
  const harness = await createHarness(t)
  const source = paths.join(harness.folder, "source")
  fs.mkdirSync(source)
  const store = async (files: Readonly<Record<string, number>>) => {
    for (const [name, size] of Object.entries(files)) fs.writeFileSync(paths.join(source, name), randomBytes(size))
    await harness.run("put", `${source}/`, "home:")
  }
  await store({ inline: 100, small: 3000, other: 4000 })
  await store({ large: 3 * mib + 1, twin: 3 * mib + 2, larger: 9 * mib })
  await harness.run("rm", "home:/other")
  await harness.run("snapshot", "create", "home:", "s")
  const { padding, files, versions, servers, complete } = await harness.json<Leakage>("leakage", "home:")
  assert.ok(complete)
  assert.deepEqual(
    {
      contents: files.contents,
      bytes: files.bytes,
      large: files.large,
      sizeClasses: files.sizeClasses,
      alone: files.alone,
    },
    { contents: 5, bytes: 15 * mib + 7003, large: 3, sizeClasses: 2, alone: 1 },
  )
  // The pieces are 4, 4 and 1 MiB, and twice a little more than 3 MiB.
  assert.ok(padding.chunks >= 7 && padding.usedBytes >= 15 * mib + 7003)
  assert.ok(padding.paddedBytes > padding.usedBytes && padding.overhead < 0.12)
  assert.ok(padding.alone < padding.sizeClasses && padding.sizeClasses < padding.chunks)
  assert.deepEqual(
    versions.map(({ sequence }) => sequence),
    versions.map(({ sequence }) => sequence).toSorted((a, b) => a - b),
  )
  const largest = Math.max(...versions.map(({ paddedBytes }) => paddedBytes))
  assert.ok(largest >= 9 * mib + 2 * paddedLength(3 * mib) && largest < 17 * mib)
  assert.equal(servers.length, 5)
  for (const { server, shares, bytes, sizes, register, otherShares } of servers) {
    const backend = harness.backends.find(({ id }) => id === server)!
    assert.deepEqual({ shares: shares + otherShares }, { shares: (await backend.usage()).shareCount })
    assert.ok(shares >= padding.chunks)
    assert.equal(
      sizes.reduce((sum, [, count]) => sum + count, 0),
      shares,
    )
    assert.equal(
      sizes.reduce((sum, [size, count]) => sum + size * count, 0),
      bytes,
    )
    assert.equal(register?.version, versions.at(-1)!.sequence)
    assert.ok(Date.parse(register!.last) <= Date.now())
  }
  const text = await harness.run("leakage")
  assert.match(text, /3 of them large/)
  for (let i = 1; i <= 5; i++) assert.match(text, new RegExp(`^ {2}n${i}: \\d+ shares of`, "m"))
})

/** A household's tree, by a fixed rule: texts, photographs, a film; in three commits. */
function* example(): Generator<readonly [folder: string, sizes: readonly number[]]> {
  const spread = (i: number, from: number, to: number) =>
    Math.round(from * (to / from) ** (((i * 2654435761) % 997) / 996))
  yield ["texts", Array.from({ length: 200 }, (_, i) => spread(i, 300, 60_000))]
  yield ["photos", Array.from({ length: 24 }, (_, i) => spread(i + 7, 1_100_000, 6_000_000))]
  yield ["film", [24_000_000]]
}

test("the threat model's example is as it says", async (t) => {
  const harness = await createHarness(t)
  for (const [folder, sizes] of example()) {
    fs.mkdirSync(paths.join(harness.folder, folder))
    for (const [i, size] of sizes.entries())
      fs.writeFileSync(paths.join(harness.folder, folder, `${i}`), randomBytes(size))
    await harness.run("put", paths.join(harness.folder, folder), `home:/${folder}`)
  }
  const { padding, files, complete } = await harness.json<Leakage>("leakage", "home:")
  assert.ok(complete)
  const page = fs.readFileSync(new URL("../../../docs/threat-model.md", import.meta.url), "utf8")
  const { large, sizeClasses, alone } = files
  const said = `Of ${large} large files ${alone} have a size that no other has, among ${sizeClasses} sizes`
  assert.ok(page.includes(said), said)
  const more = `padding costs ${(100 * padding.overhead).toFixed(0)} % more`
  assert.ok(page.includes(more), more)
})

test("leakage reads with a read capability, leaves out what is silent and says so, and takes no place in a tree", async (t) => {
  const harness = await createHarness(t)
  fs.writeFileSync(paths.join(harness.folder, "a"), randomBytes(5000))
  await harness.run("put", paths.join(harness.folder, "a"), "home:")
  const write = decodeCap(harness.aliases.get("home")!)
  assert.ok(write.kind === "dw")
  harness.aliases.set("read", encodeCap(await toReadCap(nodeCrypto, write)))
  const before = await harness.json<Leakage>("leakage", "read:")
  assert.ok(before.complete)
  harness.backends[2]!.listMarks = () => Promise.reject(new HoldfastError("ERR_SERVER_UNREACHABLE", "n3 is away."))
  const after = await harness.json<Leakage>("leakage", "read:")
  assert.equal(after.complete, false)
  assert.equal(after.servers.find(({ server }) => server === "n3")?.problem, "n3 is away.")
  assert.match(await harness.run("leakage", "home:"), /n3 is away\.\n(.*\n)*Not everything could be looked at/)
  await assert.rejects(harness.run("leakage", "home:/a"), { code: "ERR_INVALID_ARGUMENT" })
})
