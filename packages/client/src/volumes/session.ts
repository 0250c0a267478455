/** A session with a volume: profile, servers and store composed. The only place that knows how they fit together. */
import { existsSync } from "node:fs"
import { getAsset, isSea } from "node:sea"
import type { BufferPool, Env } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { type Backend, domainsOf, type StorageId, type VolumeBackend, type VolumeDescription } from "@holdfast/protocol"
import {
  createStore,
  type PlacedServer,
  type Rates,
  type Rollback,
  type ShareDamage,
  type Store,
  type TracedRequest,
} from "@holdfast/store"
import { createWorkerPool, type WorkerPoolOptions } from "@holdfast/store/node"
import type { Profile } from "../profile/profile.ts"
import { since } from "./binding.ts"
import { gridName, volumeFor } from "./choose.ts"
import type { FencedPlace } from "./fenced.ts"
import type { GridOptions, OpenedGrid } from "./grid.ts"

/** Everything a command needs of a volume. */
export interface Session {
  readonly profile: Profile
  /** Name of the volume; `grid` for what lies on the profile's grid. */
  readonly volume: string
  /** What its keys are bound to, whatever the profile calls it. */
  readonly storage: StorageId
  readonly coding: VolumeDescription["coding"]
  readonly registerMode: VolumeDescription["registerMode"]
  readonly env: Env
  /** Servers of shares; on a grid those of now. */
  readonly backends: readonly Backend[]
  /** Servers of registers. */
  readonly voters: readonly Backend[]
  /** Servers of registers that keep no shares and are there to be asked: not those that have left a grid. */
  readonly witnesses: readonly Backend[]
  readonly store: Store
  /** What a place is called by people: the name of a node; else its id. */
  nameOf(id: string): string
  /** False for a place that only is read: a server of a grid that waits for the user's word. */
  isTaking(id: string): boolean
  /**
   * False when the profile, as it was last read (`refresh`), has another volume, account or membership than this was opened with: work
   * goes on with what was, and what is now has to be opened anew. A grid whose servers change is followed, and stays the same.
   */
  isCurrent(): Promise<boolean>
  close(): Promise<void>
}

/** How a session is opened. */
export interface SessionOptions extends GridOptions {
  /** Name of a volume, or `grid`; when absent the one that the profile has. */
  readonly volume?: string | undefined
  /** The command removes something: what it has to store for that may go a little beyond quotas. */
  readonly forRemoval?: boolean
  /** Takes an older root than one seen before, for reading; called with what was found. */
  readonly onRollback?: (rollback: Rollback) => void
  /** Hears of each share that a read found damaged or missing, and went around. */
  readonly onDamage?: ((damage: ShareDamage) => void) | undefined
  /** Hears of each request to a place. */
  readonly onRequest?: ((request: TracedRequest) => void) | undefined
  /** Most bytes a second that are stored and read. */
  readonly rates?: Rates | undefined
  /** Ends all work of the session; it can only be closed then. */
  readonly signal?: AbortSignal | undefined
  /** Goes on from a root that is not proven to follow the one seen before; called with what was found. */
  readonly onUnproven?: (rollback: Rollback) => void
}

/** What holds a volume and how. */
interface Composition extends Pick<VolumeDescription, "coding" | "registerMode"> {
  readonly servers: readonly PlacedServer[]
}

/** A place of a volume as its store uses it. */
export function placedAs({ labels, witness }: VolumeBackend, backend: Backend): PlacedServer {
  return { backend, weight: 1, domains: domainsOf(labels), keeps: { shares: !witness, registers: true } }
}

/** Every place of a session, each once: the witnesses after the others. */
export function everyPlace({ backends, witnesses }: Pick<Session, "backends" | "witnesses">): readonly Backend[] {
  return [...backends, ...witnesses]
}

/** Opens a volume of a profile. Throws ERR_NO_PROFILE, ERR_NOT_FOUND. */
export async function openSession(profile: Profile, options: SessionOptions): Promise<Session> {
  const name = volumeFor(profile, options.volume)
  const isCurrent = await since(profile, name)
  return Object.assign(await openNamed(profile, name, options), { isCurrent })
}

async function openNamed(profile: Profile, name: string, options: SessionOptions): Promise<Session> {
  if (name !== gridName) return openVolumeSession(profile, profile.volumes.get(name)!, options)
  const { openGrid } = await import("./grid.ts")
  return openGridSession(profile, await openGrid(profile, options), options)
}

/** A session with a grid that is open already. */
export async function openGridSession(profile: Profile, opened: OpenedGrid, options: SessionOptions): Promise<Session> {
  const { coding, registerMode } = opened.grid
  const storage: StorageId = `grid/${opened.pins.gridId}`
  let place: () => PlacedServer[] = () => []
  const { store, ...session } = await compose(profile, { volume: gridName, storage }, options, (buffers) => {
    place = () => opened.place(buffers)
    return { coding, registerMode, servers: place() }
  }).catch((error: unknown) => {
    opened.close()
    throw error
  })
  opened.follow(() => store.follow(place()))
  return {
    ...session,
    store,
    get backends() {
      return store.backends
    },
    get voters() {
      return store.voters
    },
    get witnesses() {
      return witnessesIn(store).filter(({ id }) => opened.isMember(id))
    },
    nameOf: opened.nameOf,
    isTaking: opened.isTaking,
    async close() {
      opened.close()
      await session.close()
    },
  }
}

/** Opens a volume that the profile need not know yet. */
export async function openVolumeSession(
  profile: Profile,
  volume: VolumeDescription,
  options: SessionOptions,
): Promise<Session> {
  const [{ openBackends }, { fenceOf }, { fenced, tellingMoves }] = await Promise.all([
    import("./open.ts"),
    import("./fence.ts"),
    import("./fenced.ts"),
  ])
  const opened = await openBackends(profile, volume.backends, { ...options, epoch: volume.epoch })
  const places: FencedPlace[] = []
  const storage: StorageId = `volume/${volume.id}`
  const session = await compose(profile, { volume: volume.name, storage }, options, (buffers) => ({
    coding: volume.coding,
    registerMode: volume.registerMode,
    servers: opened(buffers).map((backend, i) => {
      const fence = fenceOf(volume.backends[i]!)
      const place = fence ? fenced(backend, fence, volume, nodeCrypto) : { backend, moved: () => undefined }
      places.push(place)
      return placedAs(volume.backends[i]!, place.backend)
    }),
  }))
  const { store } = session
  return { ...session, store: { ...store, registers: tellingMoves(store.registers, places) } }
}

/** Where the code of worker threads lies: in the single executable, beside the bundles, or, among the sources, where the pool finds it. */
function workerPlace(): WorkerPoolOptions {
  if (isSea()) return { workerUrl: new URL(getAsset("chunk-worker.url", "utf8")) }
  const bundled = new URL("./chunk-worker.mjs", import.meta.url)
  return existsSync(bundled) ? { workerUrl: bundled } : {}
}

async function compose(
  profile: Profile,
  { volume, storage }: Pick<Session, "volume" | "storage">,
  { onRollback, onUnproven, onRequest, onDamage, signal, rates, forRemoval = false }: SessionOptions,
  compositionOf: (buffers: BufferPool) => Composition,
): Promise<Session> {
  const pipeline = createWorkerPool(workerPlace())
  const { servers, coding, registerMode } = compositionOf(pipeline.buffers)
  const { id: account } = await profile.account()
  const store = await createStore({
    env: nodeEnv,
    servers,
    account,
    coding,
    registerMode,
    seen: profile.seen,
    pipeline,
    forRemoval,
    signal,
    rates,
    onRequest,
    onDamage,
    device: () => profile.device(),
    ownerOf: async (register) => nodeEnv.crypto.publicKeyOf(await profile.ownerSeed(register)),
    ...(onRollback ? { onRollback } : {}),
    ...(onUnproven ? { onUnproven } : {}),
  })
  return {
    profile,
    volume,
    storage,
    coding,
    registerMode,
    env: nodeEnv,
    backends: store.backends,
    voters: store.voters,
    witnesses: witnessesIn(store),
    store,
    nameOf: (id) => id,
    isTaking: () => true,
    isCurrent: async () => true,
    close: () => store.close(),
  }
}

function witnessesIn({ backends, voters }: Store): Backend[] {
  return voters.filter((voter) => !backends.includes(voter))
}
