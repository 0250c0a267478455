import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { nodeCrypto } from "@holdfast/core/node"
import { type ChunkId, domainsOf, type GridDescription, type Labels, type VolumeDescription } from "@holdfast/protocol"
import { rankServers } from "@holdfast/store"
import fc from "fast-check"
import { domainSurvivalOf, domainText, spreadOf, survivalIn, survivalOf } from "../src/volumes/survives.ts"

const of = (k: number, happy: number, n: number, registerMode: "crash" | "byzantine") =>
  survivalOf({ coding: { k, happy, n }, registerMode }, n)

test("as many places may lie as leave k of those that took a put", () => {
  assert.deepEqual(of(2, 3, 4, "byzantine"), { lost: 1, lying: 1 })
  assert.deepEqual(of(3, 3, 4, "byzantine"), { lost: 1, lying: 0 })
  assert.deepEqual(of(3, 5, 7, "byzantine"), { lost: 2, lying: 2 })
  assert.deepEqual(of(4, 5, 7, "byzantine"), { lost: 2, lying: 1 })
  assert.deepEqual(of(2, 3, 4, "crash"), { lost: 1, lying: 0 })
})

/** Directories with these labels, one each. */
const placesIn = (...labels: readonly (Labels | undefined)[]): VolumeDescription["backends"] =>
  labels.map((one, i) => ({ kind: "directory", id: `p${i}`, path: `/p${i}`, ...(one && { labels: one }) }))

test("what the loss of a domain leaves is told for shares and for the places of registers", () => {
  const backends = placesIn({ site: "a" }, { site: "a" }, { site: "b" }, { site: "b" }, { site: "c" }, undefined)
  const volume = { coding: { k: 2, happy: 3, n: 3 }, registerMode: "crash" as const, backends }
  assert.deepEqual(domainSurvivalOf(volume), [
    { domain: "site=a", sharesLeft: 2, votersLeft: 4, survives: true },
    { domain: "site=b", sharesLeft: 2, votersLeft: 4, survives: true },
    { domain: "site=c", sharesLeft: 2, votersLeft: 5, survives: true },
  ])
  const [line] = domainText(domainSurvivalOf(volume), volume)
  assert.equal(line, "survives all of any one of these lost: site=a, site=b, site=c")
  const byzantine = { ...volume, registerMode: "byzantine" as const }
  assert.match(
    domainText(domainSurvivalOf(byzantine), byzantine)[1]!,
    /NOT survive the loss of site=a: 4 of the 5 places needed for roots of trees would be left/,
  )
  const wide = { ...volume, coding: { k: 4, happy: 5, n: 5 } }
  assert.deepEqual(
    domainSurvivalOf(wide).map(({ domain, sharesLeft, survives }) => [domain, sharesLeft, survives]),
    [
      ["site=a", 3, false],
      ["site=b", 3, false],
      ["site=c", 4, true],
    ],
  )
})

test("of a grid, servers without a vote count for shares alone, witnesses for registers alone, and who left counts as lost", () => {
  const server = (id: string, site: string, more: object = {}) => ({
    ...{ id, name: id, address: "127.0.0.1:1", capacityBytes: 1, key: null, labels: { site } },
    ...more,
  })
  const grid = {
    coding: { k: 1, happy: 1, n: 2 },
    registerMode: "crash",
    voters: ["a", "b", "w", "gone"],
    servers: [server("a", "x"), server("b", "y"), server("c", "x"), server("w", "z", { witness: true })],
  } as unknown as GridDescription
  const of = (spread: GridDescription) =>
    domainSurvivalOf(spreadOf(spread)).map(({ domain, sharesLeft, votersLeft, survives }) => [
      ...[domain, sharesLeft, votersLeft, survives],
    ])
  assert.deepEqual(
    of(grid),
    [
      ["site=x", 1, 2, false],
      ["site=y", 1, 2, false],
      ["site=z", 2, 2, false],
    ],
    "of the four voters one is lost already, and a quorum is three",
  )
  const whole = { ...grid, voters: ["a", "b", "w"] }
  assert.deepEqual(of(whole), [
    ["site=x", 1, 2, true],
    ["site=y", 1, 2, true],
    ["site=z", 2, 2, true],
  ])
  const few = { ...grid, servers: grid.servers.filter(({ id }) => id !== "b") }
  assert.deepEqual(of(few), [
    ["site=x", 0, 1, false],
    ["site=z", 2, 1, false],
  ])
  const alone = { ...grid, servers: [server("a", "x")], voters: ["a"] } as unknown as GridDescription
  assert.deepEqual(of(alone), [["site=x", 0, 0, false]], "fewer servers than shares")
  const spread = spreadOf(few)
  assert.match(domainText(domainSurvivalOf(spread), spread)[0]!, /NOT survive the loss of site=x: 0 of the 1 shares/)
})

test("what a grid survives counts its servers of shares and the voters that are left, whatever its coding could", () => {
  const gridOf = (letters: string, voters: string, coding = { k: 3, happy: 4, n: 5 }, registerMode = "crash") =>
    ({
      ...{ coding, registerMode, voters: [...voters] },
      servers: [...letters].map((id) => ({ id, ...(/[wxy]/.test(id) && { witness: true }) })),
    }) as unknown as GridDescription
  const lost = (...given: Parameters<typeof gridOf>) => survivalIn(spreadOf(gridOf(...given))).lost
  assert.equal(lost("abcde", "abcde"), 2)
  assert.equal(lost("abcdew", "abcde"), 2)
  assert.equal(lost("abcdw", "abcdw"), 1, "a witness keeps no fifth share")
  assert.equal(lost("abcde", "abcdeg"), 1, "of six voters one is gone, and four are a quorum")
  assert.equal(lost("abcd", "abcdeg"), 0)
  const two = { k: 1, happy: 1, n: 2 }
  assert.equal(lost("abw", "abw", two), 1)
  assert.equal(lost("bw", "abw", two), 0, "one of the two is lost already")
  assert.equal(lost("awx", "awx", two), 0, "the only copy is on one server")
  assert.equal(lost("abw", "abw", two, "byzantine"), 0)
  assert.equal(lost("abwx", "abwx", two, "byzantine"), 1)
})

test("no chunk has more shares in a domain than its volume's survival says, and where domains lie side by side some chunk has as many", () => {
  const label = (letters: string) => fc.option(fc.constantFrom(...letters), { nil: undefined })
  const labels = fc
    .record({ provider: label("ab"), site: label("xy"), rack: label("12") })
    .map(({ provider, site, rack }): Labels | undefined =>
      provider || site || rack
        ? { ...(provider && { provider }), ...(site && { site }), ...(rack && { rack }) }
        : undefined,
    )
  const sites = fc.constantFrom<(Labels | undefined)[]>({ site: "x" }, { site: "y" }, { site: "z" }, undefined)
  const manyOf = <T>(one: fc.Arbitrary<T>) => fc.array(one, { minLength: 1, maxLength: 7 })
  const ids = Array.from({ length: 200 }, () => nodeCrypto.random(32) as ChunkId)
  fc.assert(
    fc.property(fc.oneof(manyOf(labels), manyOf(sites)), fc.nat(6), (given, less) => {
      const backends = placesIn(...given)
      const n = Math.max(1, backends.length - less)
      const domains = domainSurvivalOf({ coding: { k: 1, happy: 1, n }, registerMode: "crash", backends })
      const servers = backends.map(({ id, labels }) => ({
        backend: createMemoryBackend(id, nodeCrypto),
        weight: 1,
        domains: domainsOf(labels),
      }))
      // A server of a rack that is used already comes after others of its turn, so within sites it may be fewer.
      const isFlat = servers.every((one) => one.domains.length <= 1)
      for (const { domain, sharesLeft } of domains) {
        const within = new Set(servers.filter((one) => one.domains.includes(domain)).map(({ backend }) => backend.id))
        const left = ids.map(
          (id) =>
            rankServers(servers, id)
              .slice(0, n)
              .filter((backend) => !within.has(backend.id)).length,
        )
        assert.ok(Math.min(...left) >= sharesLeft)
        if (isFlat) assert.equal(Math.min(...left), sharesLeft)
      }
    }),
    { numRuns: 60 },
  )
})
