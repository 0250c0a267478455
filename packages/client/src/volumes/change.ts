/**
 * Adding a place to a volume and taking one away. Quorums of the old and the new set of places need not meet, so every
 * register that the profile knows is first copied to the new set, and only then does the volume change.
 */
import { BufferPool, equal, HoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import {
  type Backend,
  decodeRegisterValue,
  type Labels,
  parseVolume,
  rankOf,
  registerIdOf,
  type VolumeBackend,
  type VolumeDescription,
  volumeVersionOf,
} from "@holdfast/protocol"
import { type Answer, answerOf, createStore, noQuorum, quorumOf, refusalOf, refusedByServers } from "@holdfast/store"
import type { Profile } from "../profile/profile.ts"
import { fenceNameOf, fenceOf } from "./fence.ts"
import { checkEpoch } from "./fenced.ts"
import { knownRegisters } from "./known-registers.ts"
import { begunMove, copyRegisters, type MovingPlace, moveVolume, nextEpoch } from "./move.ts"
import { openBackends } from "./open.ts"
import { openVolumeSession, placedAs, type Session } from "./session.ts"

/** The volume with other places; its coding and mode stay unless they are given. Throws ERR_BAD_FORMAT when they do not fit. */
export function withPlaces(
  volume: VolumeDescription,
  backends: readonly VolumeBackend[],
  { coding = volume.coding, registerMode = volume.registerMode }: { coding?: Coding; registerMode?: string } = {},
): VolumeDescription {
  const version = volumeVersionOf(backends)
  if (volume.version === 1 && version > 2)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `${volume.name} is of version 1, which has no room for labels and witnesses. Add a place without first: its description is of version 2 then.`,
    )
  return parseVolume({ ...volume, version: volume.version === 1 ? 1 : version, backends, coding, registerMode })
}

/** The volume with other labels of its places. Nothing moves, and other profiles are not told. Throws as `withPlaces`. */
export function withLabels(
  volume: VolumeDescription,
  labelsOf: (place: VolumeBackend) => Labels | undefined,
): VolumeDescription {
  const backends = volume.backends.map((place) => labelled(place, labelsOf(place)))
  return withPlaces(volume, backends)
}

/** These places as witnesses: they keep registers and never shares. */
export function witnessesOf(places: readonly VolumeBackend[]): VolumeBackend[] {
  return places.map((place) => ({ ...place, witness: true }))
}

function labelled({ labels: _, ...place }: VolumeBackend, labels: Labels | undefined): VolumeBackend {
  return labels ? { ...place, labels } : place
}

type Coding = VolumeDescription["coding"]

/** The profile's registers at places of a volume, past their fences. */
async function registersAt(profile: Profile, volume: VolumeDescription, places: readonly MovingPlace[]) {
  const { registers } = await createStore({
    env: nodeEnv,
    servers: places.map(({ backend }, i) => placedAs(volume.backends[i]!, backend)),
    account: (await profile.account()).id,
    coding: volume.coding,
    registerMode: volume.registerMode,
    seen: profile.seen,
  }) // not closed: the places are the caller's
  return knownRegisters({ profile, volume: volume.name, storage: `volume/${volume.id}`, store: { registers } })
}

/**
 * Moves a volume of the profile to the places of `next`: copies the newest value of each register that the profile knows,
 * then lets the profile know them. Places but nodes know of the move, and let no client acknowledge anything by the old
 * description. Gives the description that holds now: another one when a move to it had begun before.
 * Throws ERR_NO_QUORUM; then the same call goes on later.
 */
export async function changeVolume(profile: Profile, next: VolumeDescription): Promise<VolumeDescription> {
  const before = profile.volumes.get(next.name)!
  const isFenced = [...before.backends, ...next.backends].every(({ kind }) => kind !== "node")
  if (!isFenced) return changeUnfenced(profile, next)
  const { volume, seed } = await withKey(profile, before)
  const places = await openPlaces(profile, [...volume.backends, ...next.backends])
  try {
    const of = ({ backends }: VolumeDescription) => backends.map(({ id }) => places.get(id)!)
    const planned = nextEpoch(
      { ...volume, version: volumeVersionOf(next.backends) },
      { backends: next.backends, coding: next.coding, registerMode: next.registerMode },
    )
    const begun = await begunMove(nodeCrypto, volume, of(volume))
    const target = begun ?? planned
    if (begun)
      for (const place of begun.backends)
        if (!places.has(place.id)) places.set(place.id, await openPlace(profile, place))
    const [from, to] = [of(volume), of(target)]
    const publicKeys = () => registersAt(profile, volume, from)
    await moveVolume({ crypto: nodeCrypto, volume, next: target, from, to, publicKeys }, seed)
    await profile.setVolume({ ...target, name: next.name })
    return target
  } finally {
    await Promise.all([...places.values()].map(({ backend }) => backend.close()))
  }
}

/** How a move is followed. */
export interface FollowOptions {
  /** Also where the volume gets weaker. */
  readonly accept: boolean
  /** Throws unless the user wants to go there; nothing was opened there before. */
  confirm(next: VolumeDescription): Promise<void>
}

/**
 * Goes where a volume has moved, by what its old places keep of it: copies what this profile's trees have there first.
 * Throws ERR_NOT_FOUND when it has not moved, ERR_MOVED while it is moving, ERR_PINNED when it gets weaker without `accept`.
 */
export async function followVolume(
  profile: Profile,
  volume: VolumeDescription,
  { accept, confirm }: FollowOptions,
): Promise<VolumeDescription> {
  const places = await openPlaces(profile, volume.backends)
  const from = volume.backends.map(({ id }) => places.get(id)!)
  try {
    const found = await begunMove(nodeCrypto, volume, from)
    if (!found)
      throw new HoldfastError(
        "ERR_NOT_FOUND",
        volume.publicKey === undefined
          ? `${volume.name} has no key by which its places could prove where it moved. Take its new description from whoever moved it: holdfast volume import`
          : `${volume.name} has not moved: none of its places says so.`,
      )
    const next = asHere(volume, found)
    if (!accept) refuseWeaker(volume, next)
    await confirm(next)
    for (const place of next.backends) if (!places.has(place.id)) places.set(place.id, await openPlace(profile, place))
    const to = next.backends.map(({ id }) => places.get(id)!)
    await needActive(next, to)
    const name = fenceNameOf("sealed", next.epoch!)
    const seals = await Promise.all(from.map(({ fence }) => fence.read().catch(() => new Map<string, Uint8Array>())))
    const sealed = from.filter((_, i) => seals[i]!.has(name))
    const publicKeys = () => registersAt(profile, volume, from)
    await copyRegisters({ crypto: nodeCrypto, volume, next, from, to, publicKeys }, sealed)
    await profile.setVolume(next)
    return next
  } finally {
    await Promise.all([...places.values()].map(({ backend }) => backend.close()))
  }
}

/** The description that was found, with what this profile knows of the places: paths differ from machine to machine. */
function asHere(volume: VolumeDescription, found: VolumeDescription): VolumeDescription {
  const local = new Map(volume.backends.map((place) => [place.id, place]))
  const backends = found.backends.map((place) => {
    const own = local.get(place.id)
    if (!own) return place
    const { witness: _, ...here } = labelled(own, place.labels ?? own.labels)
    return { ...here, ...(place.witness && { witness: true as const }) }
  })
  return { ...found, name: volume.name, version: volumeVersionOf(backends), backends }
}

async function needActive(next: VolumeDescription, to: readonly MovingPlace[]): Promise<void> {
  const checks = to.map(({ fence }) =>
    checkEpoch(fence, next, nodeCrypto).then(
      () => true,
      () => false,
    ),
  )
  const active = (await Promise.all(checks)).filter(Boolean).length
  const needed = quorumOf(to.length, next.registerMode)
  if (active >= needed) return
  throw new HoldfastError(
    "ERR_MOVED",
    `The volume ${next.name} is still moving: ${active} of the ${needed} new places needed are ready. Whoever moves it runs the same command again.`,
    { active, needed },
  )
}

function refuseWeaker(volume: VolumeDescription, next: VolumeDescription): void {
  const text = ({ coding: { k, happy, n }, registerMode }: VolumeDescription) => `${k}/${happy}/${n} ${registerMode}`
  const [was, is] = [volume.coding, next.coding]
  const isWeaker =
    is.k < was.k ||
    is.happy < was.happy ||
    is.n < was.n ||
    is.n * was.k < was.n * is.k ||
    (volume.registerMode === "byzantine" && next.registerMode === "crash")
  if (!isWeaker) return
  throw new HoldfastError(
    "ERR_PINNED",
    `${volume.name} would go from ${text(volume)} to ${text(next)}. If that is right: holdfast volume follow ${volume.name} --accept`,
  )
}

/** The volume with its key; one from before volumes had keys gets one now, if this profile knows it alone. */
async function withKey(
  profile: Profile,
  volume: VolumeDescription,
): Promise<{ volume: VolumeDescription; seed: Uint8Array }> {
  const known = profile.volumeKey(volume.id)
  if (volume.version >= 2 && known) return { volume, seed: known }
  if (volume.version >= 2)
    throw new HoldfastError("ERR_REFUSED", `Only the profile that made ${volume.name} has the key that moves it.`)
  const seed = known ?? nodeCrypto.random(32)
  if (!known) await profile.setVolumeKey(volume.id, seed)
  return { volume: { ...volume, ...(await firstKey(seed)) }, seed }
}

/** The fields of a volume's first description with a key. */
export async function firstKey(
  seed: Uint8Array,
): Promise<Pick<VolumeDescription, "version" | "epoch" | "previous" | "publicKey">> {
  return { version: 2, epoch: 1, previous: null, publicKey: toHex(await nodeCrypto.publicKeyOf(seed)) }
}

async function openPlaces(profile: Profile, places: readonly VolumeBackend[]): Promise<Map<string, MovingPlace>> {
  const opened = new Map<string, MovingPlace>()
  for (const place of places) if (!opened.has(place.id)) opened.set(place.id, await openPlace(profile, place))
  return opened
}

/** Each place once: a directory is open to one at a time. */
async function openPlace(profile: Profile, place: VolumeBackend): Promise<MovingPlace> {
  const fence = fenceOf(place)
  if (!fence)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `${place.id} is a node, which keeps no epoch of a volume.`)
  // The mover goes past the fence of every epoch: it puts values of the next one at places that are sealed for the last.
  const epoch = Number.MAX_SAFE_INTEGER
  const [backend] = (await openBackends(profile, [place], { epoch }))(new BufferPool({ maxIdleBytes: 0 }))
  return { backend: backend!, fence }
}

/** As before epochs, for volumes with nodes: other profiles are not told. */
async function changeUnfenced(profile: Profile, next: VolumeDescription): Promise<VolumeDescription> {
  // One after the other: a directory on a network file system is open to one session at a time.
  const values = await within(profile, profile.volumes.get(next.name)!, async (before) =>
    newestValues(before.voters, before, await knownRegisters(before)),
  )
  await within(profile, next, (after) => giveValues(after, values))
  await profile.setVolume(next)
  return next
}

async function within<T>(profile: Profile, volume: VolumeDescription, work: (session: Session) => Promise<T>) {
  const session = await openVolumeSession(profile, volume, {})
  try {
    return await work(session)
  } finally {
    await session.close()
  }
}

/** The newest values of these registers, as a quorum of `backends` has them. Throws ERR_NO_QUORUM. */
export async function newestValues(
  backends: readonly Backend[],
  mode: Pick<Session, "registerMode">,
  publicKeys: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const values = await Promise.all(publicKeys.map((publicKey) => newestValue(backends, mode, publicKey)))
  return values.filter((value) => value !== undefined)
}

/** Gives values to a quorum of the session's places. Throws ERR_NO_QUORUM. */
export async function giveValues(
  after: Pick<Session, "voters" | "registerMode">,
  values: readonly Uint8Array[],
): Promise<void> {
  for (const bytes of values) {
    const needed = quorumOf(after.voters.length, after.registerMode)
    const answers: Answer[] = []
    const outcomes = await Promise.all(
      after.voters.map((backend) =>
        backend.proposeRegisters([bytes]).catch((error: unknown) => {
          answers.push(answerOf(backend.id, error))
          return []
        }),
      ),
    )
    const taken = outcomes.filter(([outcome]) => outcome?.accepted).length
    for (const [i, [outcome]] of outcomes.entries())
      if (outcome && !outcome.accepted) answers.push(refusalOf(after.voters[i]!.id, outcome))
    if (taken < needed) {
      const before = "The root of a tree could not be given to the places, and the volume stays as it was."
      throw noQuorum(taken, needed, { answers, servers: after.voters.length, what: "took", before })
    }
  }
}

async function newestValue(
  backends: readonly Backend[],
  { registerMode }: Pick<Session, "registerMode">,
  publicKey: Uint8Array,
) {
  const id = registerIdOf(publicKey)
  let newest: { rank: number; bytes: Uint8Array } | undefined
  let answered = 0
  const silent: Answer[] = []
  await Promise.all(
    backends.map(async (backend) => {
      const answer = await backend.readRegisters([id]).catch((error: unknown) => {
        silent.push(answerOf(backend.id, error))
      })
      if (!answer) return
      answered++
      const bytes = answer[0]
      const value = bytes && (await decodeRegisterValue(nodeCrypto, bytes).catch(() => undefined))
      if (value && equal(value.publicKey, publicKey) && rankOf(value) > (newest?.rank ?? 0))
        newest = { rank: rankOf(value), bytes }
    }),
  )
  const needed = quorumOf(backends.length, registerMode)
  const refused = refusedByServers(silent, { servers: backends.length, needed, reached: answered })
  if (refused) throw refused
  if (answered < needed)
    throw new HoldfastError("ERR_NO_QUORUM", `Only ${answered} of the ${needed} places needed answered.`, {
      reached: answered,
      needed,
    })
  return newest?.bytes
}
