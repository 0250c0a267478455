/**
 * A round of maintenance: checks by sampling and in full over days, mends, rebalances after places came or went, and collects; it begins
 * where the last one ended, however that was. Decision 0019 says what is done when.
 */
import { isHoldfastError } from "@holdfast/core"
import type { Backend } from "@holdfast/protocol"
import type { Answer } from "@holdfast/store"
import type { MaintenanceMemory, TreeMemory, VolumeMemory } from "./memory.ts"
import type {
  MaintainedTree,
  MaintainedVolume,
  MaintenanceDeps,
  RoundReport,
  TreeReport,
  VolumeReport,
} from "./ports.ts"
import { untilHoursMs } from "./schedule.ts"
import { newPass, TreeRound } from "./tree-round.ts"

/** What was not looked after for so long is a tree no more, or of somebody else by now. */
const forgottenMs = 400 * 86_400_000

/**
 * One round of all volumes. What keeps it from looking after one is told, and does not keep it from the others. Throws what nobody
 * expects of a tree or a collection, such as a bug or a disk's error, once the others were looked after; the round has no end then.
 */
export async function maintainVolumes(
  volumes: readonly MaintainedVolume[],
  deps: MaintenanceDeps,
): Promise<RoundReport> {
  const { clock } = deps.env
  const startedMs = clock.nowMs()
  const memory = new Memory(await deps.folder.load(), deps)
  if (deps.isAll) await memory.setRound({ startedMs })
  const suspects = await deps.folder.takeSuspects()
  const mayGoOn = () => {
    deps.signal?.throwIfAborted()
    return untilHoursMs(deps.hours, clock.nowMs(), deps.minuteOfDay) === 0
  }
  const [trees, told]: [TreeReport[], VolumeReport[]] = [[], []]
  let isCutShort = false
  const unexpected: unknown[] = []
  const left = new Map([...suspects].map(([key, ids]) => [key, new Set(ids)]))
  for (const volume of volumes) {
    const round = new VolumeRound(volume, deps, memory, mayGoOn)
    const hasMoved = await round.notePlaces()
    for (const tree of volume.trees) {
      const { report, isDone, looked } = await round.tree(tree, suspects.get(volume.key) ?? new Set())
      for (const id of looked) left.get(volume.key)?.delete(id)
      trees.push(report)
      if (!isDone && !report.error) isCutShort = true
    }
    const collected = mayGoOn() ? await round.collect() : {}
    const away = [...round.awaySinceMs].map(([server, sinceMs]) => ({ server, sinceMs }))
    unexpected.push(...round.unexpected)
    const { name, account } = volume
    told.push({ volume: name, account, away, hasMoved, refusing: [...round.refusing.values()], ...collected })
  }
  const isThrough = deps.isAll === true && !isCutShort && trees.every(({ error }) => !error)
  await deps.folder.keepSuspects(isThrough ? new Map() : left)
  if (unexpected.length > 0) throw unexpected[0]
  const endedMs = clock.nowMs()
  if (deps.isAll) await memory.setRound({ startedMs, endedMs })
  return { startedMs, endedMs, trees, volumes: told, isCutShort }
}

/** What is remembered, and written down with each change. */
class Memory {
  #now: MaintenanceMemory
  readonly #deps: MaintenanceDeps

  constructor(memory: MaintenanceMemory, deps: MaintenanceDeps) {
    const sinceMs = deps.env.clock.nowMs() - forgottenMs
    const kept = Object.entries(memory.trees).filter(([, { lookedMs }]) => lookedMs >= sinceMs)
    this.#now = { ...memory, trees: Object.fromEntries(kept) }
    this.#deps = deps
  }

  get now(): MaintenanceMemory {
    return this.#now
  }

  async set(trees: Readonly<Record<string, TreeMemory>>, volumes: Readonly<Record<string, VolumeMemory>> = {}) {
    this.#now = {
      ...this.#now,
      trees: { ...this.#now.trees, ...trees },
      volumes: { ...this.#now.volumes, ...volumes },
    }
    await this.#deps.folder.save(this.#now)
  }

  async setRound(round: NonNullable<MaintenanceMemory["round"]>): Promise<void> {
    this.#now = { ...this.#now, round }
    await this.#deps.folder.save(this.#now)
  }
}

class VolumeRound {
  readonly #volume: MaintainedVolume
  readonly #deps: MaintenanceDeps
  readonly #memory: Memory
  readonly #mayGoOn: () => boolean
  readonly awaySinceMs: Map<string, number>
  readonly refusing = new Map<string, Answer>()
  /** What was thrown and is no error of the product. */
  readonly unexpected: unknown[] = []
  /** A server answers that did not before. */
  #isBack = false

  constructor(volume: MaintainedVolume, deps: MaintenanceDeps, memory: Memory, mayGoOn: () => boolean) {
    this.#volume = volume
    this.#deps = deps
    this.#memory = memory
    this.#mayGoOn = mayGoOn
    const places = new Set([...volume.store.backends, ...volume.store.voters].map(({ id }) => id))
    const known = Object.entries(memory.now.volumes[volume.key]?.awaySinceMs ?? {})
    this.awaySinceMs = new Map(known.filter(([id]) => places.has(id)))
  }

  /**
   * True when the places that take shares are others than before, or have had other domains for a while: then all trees of the volume
   * are swept and rebalanced. Asks each whether it is there.
   */
  async notePlaces(): Promise<boolean> {
    await this.#knock()
    const { key } = this.#volume
    const before = this.#memory.now.volumes[key]
    const present = placesOf(this.#volume)
    const relabelled = before && this.#relabelled(before, present)
    const places = relabelled ? before.places : present
    const hasMoved = before !== undefined && before.places.join() !== places.join()
    const pass = newPass(this.#deps.env.clock.nowMs())
    const own = Object.entries(this.#memory.now.trees).filter(([id]) => id.startsWith(`${key}/`))
    const trees = hasMoved ? own.map(([id, tree]) => [id, { ...tree, sweep: pass, rebalance: pass }] as const) : []
    await this.#memory.set(Object.fromEntries(trees), { [key]: this.#volumeMemory({ places, relabelled }) })
    return hasMoved
  }

  /** Where nothing but domains differs from what counts, and not for long enough yet: what differs, and since when. */
  #relabelled(before: VolumeMemory, places: readonly string[]): VolumeMemory["relabelled"] {
    const idsOf = (of: readonly string[]) => of.map((place) => place.split(" ", 1)[0]).join()
    if (idsOf(before.places) !== idsOf(places) || before.places.join() === places.join()) return undefined
    const { env, schedule } = this.#deps
    const nowMs = env.clock.nowMs()
    const known = before.relabelled
    const isSame = known?.places.join() === places.join() && known.sinceMs <= nowMs // of a clock that was ahead nothing is known
    const sinceMs = isSame ? known.sinceMs : nowMs
    return nowMs - sinceMs < schedule.labelsMs ? { places, sinceMs } : undefined
  }

  async #knock(): Promise<void> {
    const nowMs = this.#deps.env.clock.nowMs()
    const { backends, voters } = this.#volume.store
    const anything = [new Uint8Array(32)]
    const isAway = async (backend: Backend) => {
      const answer: Promise<unknown> = backends.includes(backend)
        ? backend.hasShares(anything)
        : backend.readRegisters(anything)
      return answer.then(
        () => false,
        () => true,
      )
    }
    await Promise.all(
      [...new Set([...backends, ...voters])].map(async (backend) => {
        if (!(await isAway(backend))) this.#isBack = this.awaySinceMs.delete(backend.id) || this.#isBack
        else if (!this.awaySinceMs.has(backend.id)) this.awaySinceMs.set(backend.id, nowMs)
      }),
    )
    this.#deps.signal?.throwIfAborted() // nothing answers after that
  }

  async tree(tree: MaintainedTree, suspects: ReadonlySet<string>) {
    const known = this.#memory.now.trees[tree.key]
    const { label } = tree
    const blank = { mended: 0, below: [], broken: [] }
    const lookedMs = this.#deps.env.clock.nowMs()
    const memory: TreeMemory = { ...blank, ...known, lookedMs }
    const remember = (changed: TreeMemory) =>
      this.#memory.set({ [tree.key]: changed }, { [this.#volume.key]: this.#volumeMemory({}) })
    const { awaySinceMs, refusing } = this
    const more = { awaySinceMs, refusing, suspects, remember }
    const around = { deps: this.#deps, volume: this.#volume, isBack: this.#isBack, ...more }
    const mayGoOn = this.#mayGoOn
    let looked: Iterable<string> = []
    let report: TreeReport = {
      ...{ tree: label, volume: this.#volume.name, suspects: 0, mended: 0, registers: [] },
      ...{ below: memory.below.length, broken: memory.broken.length, verifiedMs: memory.verifiedMs },
    }
    try {
      const round = new TreeRound({ ...around, mayGoOn }, tree, memory)
      report = round.report
      looked = round.looked
      return { report, isDone: await round.run(), looked }
    } catch (error) {
      report.error = this.#told(error)
      return { report, isDone: false, looked }
    }
  }

  async collect(): Promise<Pick<VolumeReport, "collected" | "error">> {
    const { collect, key } = this.#volume
    const { env, schedule } = this.#deps
    const { collectEveryMs, sweepEveryMs } = schedule
    const { collectedMs = Number.NEGATIVE_INFINITY } = this.#memory.now.volumes[key]!
    // Space is what is needed then, and places spare for a day what is young.
    const everyMs = this.refusing.size > 0 ? Math.min(collectEveryMs, sweepEveryMs) : collectEveryMs
    const isDue = env.clock.nowMs() - collectedMs >= everyMs
    if (!collect || !isDue) return {}
    try {
      const collected = await collect()
      this.#deps.signal?.throwIfAborted() // what was stopped in between goes on with the next round
      await this.#memory.set({}, { [key]: this.#volumeMemory({ collectedMs: env.clock.nowMs() }) })
      return { collected }
    } catch (error) {
      return { error: this.#told(error) }
    }
  }

  /** An error as it is told; what is none of the product is remembered besides. Throws the reason for which the round is stopped. */
  #told(error: unknown): Error {
    this.#deps.signal?.throwIfAborted()
    if (!isHoldfastError(error)) this.unexpected.push(error)
    return error instanceof Error ? error : new Error(String(error))
  }

  #volumeMemory(change: Partial<VolumeMemory>): VolumeMemory {
    const known = this.#memory.now.volumes[this.#volume.key] ?? { places: [], awaySinceMs: {} }
    return { ...known, awaySinceMs: Object.fromEntries(this.awaySinceMs), ...change }
  }
}

/** What decides where shares belong: each place that takes any by its id, with the domains that it lies in. */
function placesOf({ store, isTaking = () => true }: MaintainedVolume): string[] {
  const { backends, domains } = store
  const domainsOf = (backend: Backend) => domains.filter(({ servers }) => servers.has(backend)).map(({ name }) => name)
  const taking = backends.filter(({ id }) => isTaking(id))
  return taking.map((backend) => [backend.id, ...domainsOf(backend)].join(" ")).sort()
}
