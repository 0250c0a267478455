import assert from "node:assert/strict"
import { generateKeyPairSync } from "node:crypto"
import { test } from "node:test"
import type { GridDescription } from "@holdfast/protocol"
import {
  confirmed,
  digestOf,
  firstPins,
  judgeGrid,
  type Pins,
  publicKeyText,
  signGrid,
  standingsOf,
  taken,
} from "../src/index.ts"

const key = generateKeyPairSync("ed25519").privateKey
const gridPublicKey = publicKeyText(key)
const nowMs = Date.UTC(2026, 0)

function described(change: Partial<GridDescription> = {}, servers = 7): GridDescription {
  const ids = Array.from({ length: servers }, (_, i) => `n${i + 1}`)
  return {
    version: 3,
    gridId: "grid",
    epoch: 1,
    gridPublicKey,
    name: "grid",
    serial: 10,
    previous: null,
    issuedMs: nowMs,
    coordinator: "127.0.0.1:1",
    caPem: "",
    coding: { k: 3, happy: 5, n: 7 },
    registerMode: "byzantine",
    voters: ids,
    servers: ids.map((id) => ({ id, name: id, address: "127.0.0.1:2", capacityBytes: 10, key: id.padEnd(43, "A") })),
    revoked: [],
    root: null,
    ...change,
  }
}

function pinned(grid: GridDescription): Pins {
  return firstPins(signGrid(grid, key), grid, gridPublicKey)
}

function judged(pins: Pins, grid: GridDescription, signedBy: "pinned" | "root" = "pinned") {
  const { violations, changes } = judgeGrid(pins, { grid, digest: digestOf(signGrid(grid, key)), signedBy }, nowMs)
  return { violations, asked: changes.map(({ what }) => what) }
}

const next = (change: Partial<GridDescription> = {}, servers?: number) => described({ serial: 12, ...change }, servers)

test("what makes a grid stronger or moves its servers is taken, what weakens it is asked", () => {
  const pins = pinned(described())
  const cases: [Partial<GridDescription>, string[]][] = [
    [{ name: "renamed", coordinator: "127.0.0.1:9" }, []],
    [{ coding: { k: 3, happy: 6, n: 7 } }, []],
    [{ coding: { k: 3, happy: 5, n: 8 } }, []],
    [{ coding: { k: 4, happy: 5, n: 7 } }, ["coding"]], // n/k
    [{ coding: { k: 2, happy: 5, n: 7 } }, ["coding"]],
    [{ coding: { k: 3, happy: 4, n: 7 } }, ["coding"]],
    [{ coding: { k: 3, happy: 5, n: 6 } }, ["coding"]],
    [{ registerMode: "crash" }, ["mode"]],
    [{ voters: ["n1", "n2", "n3", "n4", "n5", "n6"] }, ["voters"]],
    [{ voters: ["n1", "n2", "n3", "n4", "n5", "n6", "x"] }, ["voters"]],
  ]
  for (const [change, asked] of cases)
    assert.deepEqual(judged(pins, next(change)), { violations: [], asked }, JSON.stringify(change))
})

test("a grid that still forms may get voters whose quorums meet those before, up to its size, and no further", () => {
  const coding = { k: 3, happy: 4, n: 5 }
  const crash = (servers: number) => described({ coding, registerMode: "crash" }, servers)
  const pins = pinned(crash(4))
  assert.deepEqual(judged(pins, { ...crash(5), serial: 11 }).asked, [])
  assert.deepEqual(judged(pins, { ...crash(6), serial: 11 }).asked, ["voters"])
  const one = pinned(described({ coding: { k: 1, happy: 1, n: 1 }, registerMode: "crash" }, 1))
  const more = (servers: number) =>
    described({ coding: { k: 1, happy: 1, n: 1 }, registerMode: "crash", serial: 11 }, servers)
  assert.deepEqual(judged(one, more(2)).asked, [])
  assert.deepEqual(judged(one, more(3)).asked, ["voters"], "two of three need not meet the one before")
})

test("the steps of a new epoch are bounded, and what the root revokes must be listed", () => {
  const pins = pinned(described())
  const late = (change: Partial<GridDescription>) =>
    judged(pins, next({ serial: 1, ...change }), "root").violations.length
  assert.equal(late({ epoch: 17 }), 0)
  assert.equal(late({ epoch: 18 }), 1)
  assert.equal(late({ epoch: 1 }), 1)
  assert.equal(late({ epoch: 2, serial: 2 ** 16 + 1 }), 1)
  assert.equal(judged(pins, next({ epoch: 2 })).violations.length, 1, "signed by the key of another epoch")
  assert.equal(judged(pins, next({ version: 2 })).violations.length, 1)
  const grid = next({ epoch: 2, serial: 1 })
  const offered = { grid, digest: digestOf(signGrid(grid, key)), signedBy: "root", revokedByRoot: ["x"] } as const
  assert.equal(judgeGrid(pins, offered, nowMs).violations.length, 1)
})

test("servers that were never confirmed stay unknown through other changes, until the user confirms them", () => {
  const pins = pinned(described())
  const grid = next({}, 9)
  const more = { ...grid, voters: described().voters!, serial: 12 }
  const signed = signGrid(more, key)
  const after = taken(pins, signed, more)
  const trustOf = (id: string, now: Pins) => standingsOf(more, now).find(({ server }) => server.id === id)?.trust
  assert.deepEqual(
    ["n1", "n8", "n9"].map((id) => trustOf(id, after)),
    ["confirmed", "trial", "trial"],
  )
  const fewer = { ...more, serial: 13, servers: more.servers.filter(({ id }) => id !== "n8" && id !== "n1") }
  const again = taken(taken(after, signGrid(fewer, key), fewer), signed, more)
  assert.deepEqual(
    ["n1", "n8"].map((id) => trustOf(id, again)),
    ["confirmed", "trial"],
    "who comes back is who it was",
  )
  assert.equal(trustOf("n8", confirmed(again, signed, more)), "confirmed")
})

test("a server that was confirmed as a witness takes no shares unasked, and one that was no witness may be one again", () => {
  const coding = { k: 1, happy: 1, n: 2 }
  const gridOf = (witnesses: string, change: Partial<GridDescription> = {}) => {
    const grid = described({ version: 4, coding, registerMode: "crash", ...change }, 3)
    return {
      ...grid,
      servers: grid.servers.map((server) =>
        witnesses.includes(server.id) ? { ...server, witness: true as const } : server,
      ),
    }
  }
  const take = (pins: Pins, grid: GridDescription) => taken(pins, signGrid(grid, key), grid)
  const pins = pinned(gridOf("n3"))
  const turned = gridOf("", { serial: 12 })
  assert.deepEqual(judged(pins, turned), { violations: [], asked: ["witness"] })
  assert.deepEqual(judged(take(pins, gridOf("n3", { serial: 11 })), turned).asked, ["witness"], "however long ago")
  assert.deepEqual(judged(confirmed(pins, signGrid(turned, key), turned), gridOf("", { serial: 13 })).asked, [])
  const away = take(pins, { ...gridOf("n3", { serial: 11 }), servers: gridOf("n3").servers.slice(0, 2) })
  assert.deepEqual(judged(away, turned).asked, ["witness"], "one that left for a while comes back as what it was")
  const other = take(pins, gridOf("n2 n3", { serial: 11 }))
  assert.deepEqual(judged(other, gridOf("n3", { serial: 12 })).asked, [])
  const forming = pinned({ ...gridOf(""), servers: gridOf("").servers.slice(0, 2), voters: ["n1", "n2"] })
  assert.deepEqual(judged(take(forming, gridOf("n3", { serial: 11 })), turned).asked, ["witness"])
})
