/** Ancestry by a Merkle mountain range: random histories of writers that race and die, and what a hostile writer may claim. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { compare, fromHex, hashSmall, toHex, utf8 } from "@holdfast/core"
import fc from "fast-check"
import {
  type Ancestry,
  appendLevel,
  type Level,
  levelLeaf,
  mountainsOf,
  peaksOver,
  proveLevel,
  provesLevel,
} from "../src/index.ts"

interface Value extends Ancestry {
  readonly hash: string
  readonly follows: Level
}

/** A history with all its values, of which `random` decides everything. */
class History {
  readonly all = new Map<string, Value>()
  readonly #random: (below: number) => number

  constructor(random: (below: number) => number) {
    this.#random = random
  }

  /** The value after `parents`, all of one sequence; the first is the spine's. */
  next(parents: readonly Value[]): Value {
    const [spine, ...others] = parents
    const name = `value ${this.all.size}`
    const follows = spine ? [spine, ...others.sort(byHash)].map(({ hash }) => fromHex(hash)) : []
    const sequence = (spine?.sequence ?? 0) + 1
    const peaks = spine ? appendLevel(spine.peaks, spine.sequence - 1, levelLeaf(spine.sequence, follows)) : []
    const value = { hash: toHex(hashSmall("value", utf8(name), ...follows)), sequence, base: 1, follows, peaks }
    this.all.set(value.hash, value)
    return value
  }

  levelsOf(value: Value): Level[] {
    const levels: Level[] = []
    for (let at = value; at.follows.length > 0; at = this.all.get(toHex(at.follows[0]!))!) levels.unshift(at.follows)
    return levels
  }

  /** Three servers, of which two are a quorum: writers read and settle, race, and die half way. */
  run(steps: number): { readonly held: readonly Value[]; readonly stable: readonly Value[] } {
    const servers: (Value | undefined)[] = [undefined, undefined, undefined]
    const stable = new Map<string, Value>()
    for (let step = 0; step < steps; step++) {
      const values = Array.from({ length: 1 + this.#random(3) }, () => this.#read(servers)).map((base) =>
        this.next(base),
      )
      const messages = values.flatMap((value) =>
        [0, 1, 2].filter(() => this.#random(5) > 0).map((i) => ({ value, i, at: this.#random(1000) })),
      )
      for (const { value, i } of messages.sort((a, b) => a.at - b.at))
        if ((servers[i]?.sequence ?? 0) < value.sequence) servers[i] = value
      for (const value of servers)
        if (value && servers.filter((held) => held === value).length >= 2) stable.set(value.hash, value)
    }
    return { held: servers.filter((held) => held !== undefined), stable: [...stable.values()] }
  }

  #read(servers: (Value | undefined)[]): Value[] {
    const away = this.#random(3)
    const heard = servers.filter((held, i) => i !== away && held !== undefined) as Value[]
    const top = Math.max(0, ...heard.map(({ sequence }) => sequence))
    const newest = [...new Set(heard.filter(({ sequence }) => sequence === top))]
    for (const [i, held] of servers.entries())
      if (top > 0 && i !== away && (held?.sequence ?? 0) < top) servers[i] = newest[0]!
    return newest
  }
}

function byHash(a: Value, b: Value): number {
  return compare(fromHex(a.hash), fromHex(b.hash))
}

const follows = (value: Value, old: Value, levels: readonly Level[]) => {
  const proof = proveLevel(1, levels, old.sequence)
  return provesLevel(value, old.sequence, proof) && proof.level.some((hash) => toHex(hash) === old.hash)
}

test("whatever a quorum once held is proven of each later value, and of no branch that left before it", () => {
  let [proven, refused] = [0, 0]
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 5, max: 60 }), (seed, steps) => {
      let state = seed >>> 0
      const random = (below: number) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return Math.floor((state / 2 ** 32) * below)
      }
      const history = new History(random)
      const { held, stable } = history.run(steps)
      for (const later of new Set(held))
        for (const old of stable.filter(({ sequence }) => sequence < later.sequence)) {
          assert.ok(follows(later, old, history.levelsOf(later)))
          proven++
        }
      for (const old of stable.slice(0, 5)) {
        let branch = history.next(old.follows.map((hash) => history.all.get(toHex(hash))!))
        for (let i = 0; i < 10; i++) branch = history.next([branch])
        assert.equal(follows(branch, old, history.levelsOf(branch)), false)
        for (const later of held)
          if (later.sequence > old.sequence && old.sequence < branch.sequence)
            assert.equal(follows(branch, old, history.levelsOf(later)), false, "by the proof of another")
        refused++
      }
    }),
    { numRuns: 60 },
  )
  assert.ok(proven > 500 && refused > 50, `${proven} proven, ${refused} refused`)
})

test("a proof holds for its level, number, value and path alone", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 300 }),
      fc.nat(),
      fc.nat(),
      (base, count, at, other) => {
        const levels = Array.from({ length: count }, (_, i): Level => [hashSmall("level", utf8(String(i)))])
        const value = { sequence: base + count, base, peaks: peaksOver(base, levels) }
        assert.equal(value.peaks.length, mountainsOf(count).length)
        const sequence = base + (at % count)
        const proof = proveLevel(base, levels, sequence)
        assert.ok(provesLevel(value, sequence, proof))
        assert.ok(proof.path.length <= Math.log2(count))
        const elsewhere = base + (other % count)
        if (elsewhere !== sequence) assert.equal(provesLevel(value, elsewhere, proof), false)
        assert.equal(provesLevel(value, base - 1, proof), false)
        assert.equal(provesLevel(value, value.sequence, proof), false)
        assert.equal(provesLevel(value, sequence, { ...proof, path: [...proof.path, levels[0]![0]!] }), false)
        assert.equal(provesLevel(value, sequence, { ...proof, level: [...proof.level, levels[0]![0]!] }), false)
        if (proof.path.length > 0)
          assert.equal(provesLevel(value, sequence, { ...proof, path: proof.path.slice(1) }), false)
      },
    ),
    { numRuns: 200 },
  )
})
