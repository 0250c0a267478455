/** One round of a tree: what was found damaged first, blocks by chance, what servers hold, a part of all shares, shares elsewhere. */
import { toHex } from "@holdfast/core"
import type { Answer, ChunkHealth } from "@holdfast/store"
import type { StoredChunk } from "../footing.ts"
import { checkHealth, conditionOf } from "../health.ts"
import { rebalance } from "../rebalance.ts"
import { sampleHealth } from "../sample.ts"
import { mostListed, type Pass, type TreeMemory } from "./memory.ts"
import { mendingStore } from "./mending.ts"
import type { MaintainedTree, MaintainedVolume, MaintenanceDeps, TreeReport } from "./ports.ts"
import { boundOf, endOfIds, partDone } from "./schedule.ts"
import { nextSpan, type Span, spanOf } from "./span.ts"

/** Chunks that are sorted in memory at once, and that are done between two notes of how far it is. */
const spanChunks = 32_768
const stepChunks = 32
/** Chunks of which it was known that they lack shares, verified again in each round; a sweep looks at all. */
const mostAgain = 64

/** What a round of a tree is part of. */
export interface TreeSurroundings {
  readonly deps: MaintenanceDeps
  readonly volume: MaintainedVolume
  /** Since when servers have given no answer; kept up to date. */
  readonly awaySinceMs: Map<string, number>
  /** A server answers that did not at the last round. */
  readonly isBack: boolean
  /** Why servers take nothing more in this round. */
  readonly refusing: Map<string, Answer>
  /** Ids of chunks that readers found damaged. */
  readonly suspects: ReadonlySet<string>
  /** False once the hours are over. */
  mayGoOn(): boolean
  /** Remembers how the tree stands, on disk. */
  remember(memory: TreeMemory): Promise<void>
}

type PassName = "sweep" | "verify" | "rebalance"

/** Of what a pass does with some chunks. */
interface Found {
  readonly mended: number
  readonly below: readonly string[]
  readonly broken: readonly string[]
}

/** A tree in one round. */
export class TreeRound {
  readonly #around: TreeSurroundings
  readonly #tree: MaintainedTree
  #memory: TreeMemory
  readonly report: TreeReport
  /** Suspects that were looked at. */
  readonly looked = new Set<string>()

  constructor(around: TreeSurroundings, tree: MaintainedTree, memory: TreeMemory) {
    this.#around = around
    this.#tree = tree
    this.#memory = memory
    const counts = { suspects: 0, mended: 0, below: 0, broken: 0, registers: [] }
    this.report = { tree: tree.label, volume: around.volume.name, ...counts }
  }

  /** Does what is due. False when the hours ended before. */
  async run(): Promise<boolean> {
    await this.#registers()
    const { below, broken } = this.#memory
    // In turns: who was looked at goes to the end of its list.
    await this.#lookAt(new Set([...this.#around.suspects, ...[...broken, ...below].slice(0, mostAgain)]))
    await this.#sample()
    const isSwept = await this.#sweep()
    const isVerified = isSwept && (await this.#verify())
    const isDone = isVerified && (await this.#rebalance())
    this.report.below = this.#memory.below.length
    this.report.broken = this.#memory.broken.length
    this.report.verifiedMs = this.#memory.verifiedMs
    return isDone
  }

  async #registers(): Promise<void> {
    const { deps, volume, awaySinceMs } = this.#around
    const { crypto } = deps.env
    const { registers } = await this.#tree.footing()
    const footing = { chunks: none(), registers }
    const more = { registers: this.#tree.more ?? [], chunks: [] }
    const { copies } = await checkHealth({ crypto, store: volume.store }, footing, { repair: true, more })
    this.report.registers = copies.flatMap(({ server, problem, what = "the root" }) =>
      problem === undefined || awaySinceMs.has(server) ? [] : [{ server, problem, what }],
    )
  }

  /** Verifies single chunks, those of them that are the tree's still. */
  async #lookAt(ids: ReadonlySet<string>): Promise<void> {
    if (ids.size === 0) return
    const span = await spanOf(await this.#tree.footing(), ids)
    this.report.suspects += span.length
    for (const step of stepsOf(span)) {
      if (!this.#around.mayGoOn()) return
      await this.#check(step, { verify: true })
      for (const [id] of step) this.looked.add(id)
    }
    const there = new Set(span.map(([id]) => id))
    const isGone = (id: string) => ids.has(id) && !there.has(id)
    const { below, broken } = this.#memory
    await this.#remember({
      below: below.filter((id) => !isGone(id)),
      broken: broken.filter((id) => !isGone(id)),
    })
  }

  async #sample(): Promise<void> {
    const { deps, volume } = this.#around
    const { crypto } = deps.env
    const count = deps.schedule.sampleBlocks
    if (count === 0 || !this.#around.mayGoOn()) return
    const footing = await this.#tree.footing()
    const { samples, good } = await sampleHealth({ crypto, store: volume.store }, footing, { count })
    if (samples.length > 0) this.report.sample = { asked: samples.length, good }
    await this.#lookAt(new Set(samples.flatMap(({ id, state }) => (state === "good" ? [] : [toHex(id)]))))
  }

  async #sweep(): Promise<boolean> {
    if (!this.#memory.sweep && !this.#isSweepDue()) return true
    return this.#pass("sweep", endOfIds, (step) => this.#check(step, { verify: false }))
  }

  #isSweepDue(): boolean {
    const { sweptMs, sweptMended = 0, below } = this.#memory
    const { deps, awaySinceMs } = this.#around
    const { waitMs, sweepEveryMs } = deps.schedule
    const nowMs = deps.env.clock.nowMs()
    if (sweptMs === undefined) return true
    // A server that takes shares and forgets them could else have all of its own sent in each round.
    if (this.report.mended > 0 && (sweptMended === 0 || nowMs - sweptMs >= sweepEveryMs)) return true
    // Who was waited for in vain since then is missed wherever it held something.
    if ([...awaySinceMs.values()].some((sinceMs) => sinceMs + waitMs <= nowMs && sinceMs + waitMs > sweptMs))
      return true
    return below.length > 0 && (this.#around.isBack || nowMs - sweptMs >= sweepEveryMs)
  }

  async #verify(): Promise<boolean> {
    const { deps } = this.#around
    const nowMs = deps.env.clock.nowMs()
    const pass = this.#memory.verify ?? newPass(nowMs)
    if (!this.#memory.verify) await this.#remember({ verify: pass })
    const before = boundOf(pass, nowMs, deps.schedule.everyMs)
    return this.#pass("verify", before, (step) => this.#check(step, { verify: true }))
  }

  async #rebalance(): Promise<boolean> {
    if (!this.#memory.rebalance) return true
    const { volume } = this.#around
    const done = { moved: 0, released: 0 }
    const isDone = await this.#pass("rebalance", endOfIds, async (step) => {
      const { collector, store } = volume
      const { crypto } = this.#around.deps.env
      const { moved, released, inconsistent } = await rebalance(
        { crypto, store },
        { chunks: given(step) },
        { collector },
      )
      done.moved += moved
      done.released += released
      return { mended: 0, below: [], broken: inconsistent }
    })
    Object.assign(this.report.rebalance!, done)
    return isDone
  }

  /** Goes on with a pass up to an id; false when the hours ended before. */
  async #pass(name: PassName, before: string, work: (step: Span) => Promise<Found>): Promise<boolean> {
    const { clock } = this.#around.deps.env
    let pass = this.#memory[name] ?? newPass(clock.nowMs())
    const startChunks = pass.chunks
    const tell = (isDone: boolean) => {
      const chunks = pass.chunks - startChunks
      const part = isDone ? 1 : partDone(pass)
      Object.assign(this.report, { [name]: name === "verify" ? { chunks, part, isDone } : { chunks, isDone } })
    }
    const after = (last: string) => (last > pass.position ? { ...pass, position: last } : pass)
    for (let isMore = true; isMore; ) {
      const span = await nextSpan(await this.#tree.footing(), { after: pass.position, before, most: spanChunks })
      isMore = span.length === spanChunks
      for (const step of stepsOf(span)) {
        if (!this.#around.mayGoOn()) {
          tell(false)
          return false
        }
        const found = await work(step)
        pass = joined(after(step.at(-1)![0]), step.length, found)
        await this.#remember({ [name]: pass })
      }
    }
    const isDone = before === endOfIds
    if (!isDone) pass = after(before.padEnd(64, "0"))
    tell(isDone)
    await (isDone ? this.#end(name, pass) : this.#remember({ [name]: pass }))
    return true
  }

  async #end(name: PassName, { mended, below, broken }: Pass): Promise<void> {
    const nowMs = this.#around.deps.env.clock.nowMs()
    const { [name]: _, ...rest } = this.#memory
    this.#memory = rest
    if (name === "rebalance") await this.#remember({ rebalancedMs: nowMs })
    else if (name === "verify") await this.#remember({ verifiedMs: nowMs, below, broken })
    else await this.#remember({ sweptMs: nowMs, sweptMended: mended, below, broken })
  }

  /** Checks chunks, and mends those that need it. */
  async #check(step: Span, { verify }: { readonly verify: boolean }): Promise<Found> {
    const { deps, volume, awaySinceMs, refusing } = this.#around
    const { store, happy, isTaking = () => true } = volume
    const nowMs = deps.env.clock.nowMs()
    const { waitMs } = deps.schedule
    const servers = store.backends.length
    const isGivenUp = (server: string) => nowMs - (awaySinceMs.get(server) ?? nowMs) >= waitMs
    const [below, broken]: [string[], string[]] = [[], []]
    const onHealth = (health: ChunkHealth) => {
      for (const id of health.answering) awaySinceMs.delete(id)
      for (const id of health.silent.keys()) if (!awaySinceMs.has(id)) awaySinceMs.set(id, nowMs)
      const condition = conditionOf(health, { servers, repaired: true })
      if (condition !== "healthy") (condition === "damaged" ? below : broken).push(toHex(health.id))
      deps.onChunk?.()
    }
    const mending = mendingStore(store, { servers, happy, refusing, isTaking, isGivenUp }, onHealth)
    const footing = { chunks: given(step), registers: [] }
    const { report } = await checkHealth({ crypto: deps.env.crypto, store: mending }, footing, { verify, repair: true })
    this.report.mended += report.placed
    const checked = new Set(step.map(([id]) => id))
    const known = (list: readonly string[], found: readonly string[]) =>
      [...list.filter((id) => !checked.has(id)), ...found].slice(0, mostListed)
    await this.#remember({
      below: known(this.#memory.below, below),
      broken: known(this.#memory.broken, broken),
      ...(report.placed > 0 && { mended: this.#memory.mended + report.placed, mendedMs: nowMs }),
    })
    return { mended: report.placed, below, broken }
  }

  async #remember(change: Partial<TreeMemory>): Promise<void> {
    this.#around.deps.signal?.throwIfAborted()
    this.#memory = { ...this.#memory, ...change }
    await this.#around.remember(this.#memory)
  }
}

/** A pass at its start. */
export function newPass(startedMs: number): Pass {
  return { startedMs, position: "", chunks: 0, mended: 0, below: [], broken: [] }
}

function joined(pass: Pass, chunks: number, { mended, below, broken }: Found): Pass {
  return {
    ...pass,
    chunks: pass.chunks + chunks,
    mended: pass.mended + mended,
    below: [...pass.below, ...below].slice(0, mostListed),
    broken: [...pass.broken, ...broken].slice(0, mostListed),
  }
}

function* stepsOf(span: Span): Generator<Span, void, void> {
  for (let at = 0; at < span.length; at += stepChunks) yield span.slice(at, at + stepChunks)
}

async function* given(span: Span): AsyncGenerator<StoredChunk, void, void> {
  for (const [, chunk] of span) yield chunk
}

async function* none(): AsyncGenerator<StoredChunk, void, void> {}
