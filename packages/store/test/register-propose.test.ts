/** When a proposal is taken, when it is lost, and when its chunks are not held: by what each server answers, or does not. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { createMemoryBackend } from "@holdfast/backends"
import { nodeCrypto as crypto, nodeEnv as env } from "@holdfast/core/node"
import type { Backend, ProposeOutcome } from "@holdfast/protocol"
import { makeRegisterValue } from "@holdfast/protocol/testing"
import { Batch, type Pattern } from "../src/batch.ts"
import { decodeHeld, propose } from "../src/register-quorum.ts"

const seed = crypto.random(32)
const value = await decodeHeld(crypto, await makeRegisterValue(crypto, seed, 2, "mine"))
const other = await makeRegisterValue(crypto, seed, 2, "another")

const answers = {
  vouches: { accepted: true, vouches: true },
  accepts: { accepted: true, vouches: false },
  lost: { accepted: false, current: other, message: "held already" },
  gone: { accepted: false, marksGone: true, message: "marks are gone" },
} satisfies Record<string, ProposeOutcome>
type Behaviour = keyof typeof answers | "late" | "lostLate" | "never" | "away"
type Word = Awaited<ReturnType<Backend["confirmMarks"]>> | "never"

/** A server with one chunk of the commit that answers so; asked before the value, it says `word`. */
function server(id: string, behaviour: Behaviour, word: Word = "held"): Backend {
  const never = () => new Promise<never>(() => undefined)
  return {
    ...createMemoryBackend(id, crypto),
    confirmMarks: async () => (word === "never" ? never() : word),
    proposeRegisters: async () => {
      if (behaviour === "never") return never()
      if (behaviour === "away") throw new Error(`${id} is away`)
      if (behaviour !== "late" && behaviour !== "lostLate") return [answers[behaviour]]
      await env.clock.sleep(20)
      return [answers[behaviour === "late" ? "vouches" : "lost"]]
    },
  }
}

/** What becomes of the value at these servers, each of which holds a share of its own, when `happy` have to vouch. */
async function proposed(backends: readonly Backend[], { happy = 2, mode = "crash" as const } = {}) {
  const pattern: Pattern = backends.map((backend, index) => ({ backend, indices: [index] }))
  const commitment = { batch: new Batch({ batch: crypto.random(16), accounts: [] }, 0), patterns: [pattern], happy }
  const proposal = await propose({ env, backends, mode }, value, commitment)
  if (typeof proposal === "string") return proposal
  const ids = (list: readonly Backend[]) => list.map(({ id }) => id).sort()
  return { gone: ids(proposal.gone), silent: ids(proposal.silent) }
}

const three = (...behaviours: [Behaviour, Behaviour, Behaviour]) => behaviours.map((one, i) => server(`n${i}`, one))

test("a value is taken by a quorum that vouches, whoever does not answer, refuses or has another one", async () => {
  for (const third of ["never", "away", "lost", "accepts", "gone"] as const)
    assert.equal(await proposed(three("vouches", "vouches", third)), "taken", third)
  assert.equal(await proposed(three("lost", "late", "late")), "taken", "one loss decides nothing")
  assert.equal(await proposed(three("accepts", "accepts", "away"), { happy: 0 }), "taken")
})

test("it is lost when too few can take it any more and one has another, and that waits for nobody", async () => {
  assert.equal(await proposed(three("lost", "lost", "never")), "lost")
  assert.equal(await proposed(three("lost", "away", "vouches")), "lost")
  assert.equal(await proposed(three("away", "away", "lostLate")), "lost", "who comes last may have another one")
  await assert.rejects(proposed(three("away", "away", "vouches")), { code: "ERR_NO_QUORUM" })
})

test("a quorum that does not vouch for the chunks acknowledges nothing; who lost marks and who is silent is told apart", async () => {
  assert.deepEqual(await proposed(three("vouches", "accepts", "accepts")), { gone: [], silent: ["n1", "n2"] })
  assert.deepEqual(await proposed(three("vouches", "gone", "accepts")), { gone: ["n1"], silent: ["n2"] })
  assert.deepEqual(await proposed(three("accepts", "accepts", "lost")), { gone: [], silent: ["n0", "n1", "n2"] })
  assert.deepEqual(await proposed(three("gone", "gone", "vouches")), { gone: ["n0", "n1"], silent: [] })
})

test("nobody is shown a value whose chunks too few places confirm; who is slow to confirm is not waited for", async () => {
  const confirming = (...words: Word[]) => words.map((word, i) => server(`n${i}`, "vouches", word))
  assert.equal(await proposed(confirming("held", "held", "never")), "taken")
  assert.deepEqual(await proposed(confirming("held", "gone", "unknown")), { gone: ["n1"], silent: ["n2"] })
  assert.deepEqual(await proposed(confirming("gone", "gone", "held")), { gone: ["n0", "n1"], silent: [] })
})

test("marks that were made a moment ago are confirmed only where a place made none, puts them off, or the clock went on or back", async () => {
  const nowMs = env.clock.nowMs()
  /** Whether any of three servers is asked for its word. */
  async function isAsked({ sinceMs = nowMs, marked = 3, putsOff = false } = {}): Promise<boolean> {
    let asked = false
    const backends = ["n0", "n1", "n2"].map((id) => {
      const { marksWithAnswer: _, ...backend } = server(id, "vouches")
      const confirmMarks = async () => {
        asked = true
        return "held" as const
      }
      return { ...backend, ...(!putsOff && { marksWithAnswer: true as const }), confirmMarks }
    })
    const pattern: Pattern = backends.slice(0, marked).map((backend, index) => ({ backend, indices: [index] }))
    const batch = new Batch({ batch: crypto.random(16), accounts: [] }, sinceMs)
    const commitment = { batch, patterns: [pattern], happy: 2 }
    assert.equal(await propose({ env, backends, mode: "crash" }, value, commitment), "taken")
    return asked
  }
  assert.equal(await isAsked(), false)
  assert.equal(await isAsked({ marked: 2 }), true)
  assert.equal(await isAsked({ putsOff: true }), true)
  assert.equal(await isAsked({ sinceMs: nowMs - 120_000 }), true)
  assert.equal(await isAsked({ sinceMs: nowMs + 120_000 }), true)
})
