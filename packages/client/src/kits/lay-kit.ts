/**
 * Making a recovery kit over the places of a volume and erasing those before it, in an order that may end anywhere: whoever was told
 * of a kit can restore it, or a later one that he was told of too; and what is left behind is known to the next run.
 */
import { equal, fromHex, HoldfastError, toHex } from "@holdfast/core"
import { decodeRecoveryPart } from "@holdfast/protocol"
import { type Answer, quorumOf, shortageOf } from "@holdfast/store"
import { eraseEarlier, goneFrom, joined, kitsBefore, type LeftBehind } from "./erase-kits.ts"
import { groupParts, keyOfKit, openKit } from "./kit.ts"
import { type KitKeys, type KitMemory, type KnownKit, kitSeed, type PendingErasure } from "./kit-memory.ts"
import { type Failure, goodParts, type KitPlaces, type PlaceAnswer, readParts } from "./parts.ts"
import { writeParts } from "./write-parts.ts"

/** The kit that is made. */
export interface KitToLay {
  readonly name: string
  readonly volume: string
  readonly mode: "crash" | "byzantine"
  /** Of its words; without, it is not protected. */
  readonly master?: Uint8Array | undefined
  /** Replaces a kit that this device does not know. */
  readonly replace: boolean
  /** Its parts, one for each place, once it is known that it can be made: of a later time than those that it replaces. */
  readonly parts: (afterMs: number) => Promise<readonly Uint8Array[]>
  /** Tells its owner the words: from now on it is this kit that he relies on. */
  readonly tell: () => Promise<void>
}

/** What became of it. */
export interface LaidKit {
  readonly id: string
  /** Each place; `why` when it did not take its part. */
  readonly places: readonly LaidPart[]
  /** What there still is of earlier kits. */
  readonly left: LeftBehind
}

/** What became of one part. */
export interface LaidPart {
  readonly id: string
  readonly why?: string
  /** That of the error, where there was one. */
  readonly code?: string
}

/** Makes a kit. Throws ERR_ALREADY_EXISTS, ERR_NO_QUORUM, and what `kit.parts` and `kit.tell` throw. */
export async function layKit(at: KitPlaces, kit: KitToLay, memory: KitMemory): Promise<LaidKit> {
  const { name, master } = kit
  const { before, known } = memory
  const seed = kitSeed(name, master)
  const answers = await readParts(at, seed)
  const answered = answers.filter(({ state }) => state !== "away")
  const needed = quorumOf(at.backends.length, kit.mode)
  if (answered.length < needed)
    throw tooFew(answered.length, needed, "answered, so nothing was changed", answersOf(answers))
  if (!kit.replace) refuseForeign(kit, goodParts(answers), known)
  const parts = await kit.parts(await newestMs(at, answers, master))
  const ids = at.backends.map(({ id }) => id)
  const isSame = before.master !== undefined && master !== undefined && equal(fromHex(before.master), master)
  const last = isSame ? [] : lastOf(name, before, ids)
  const there = await kitsBefore(at, name, [...before.erase, ...last])
  // What is there now is meant, but for a register of which that was said before: what came there since is another device's.
  const meant = (one: PendingErasure) => ({ ...one, kits: one.kits ?? there.get(one.seed) ?? [] })
  const earlier = joined([...before.erase, ...last].map(meant))
  const fresh: PendingErasure[] = master && !isSame ? [{ seed: toHex(seed), places: ids, kits: [] }] : []
  // First, so that what a run that dies here leaves behind is erased by the next one.
  if (fresh.length > 0) await memory.setKeys({ ...before, erase: [...before.erase, ...fresh] })
  await memory.list(seed)
  const { id, places } = await lay(at, { kit, seed, answers, parts, needed }, memory)
  // Whoever dies from here on leaves it open which words were told: then the next kit has new ones.
  if (!isSame) await memory.setKeys({ places: [], erase: [...earlier, ...fresh] })
  await kit.tell()
  const isOpen = before.master === undefined && known.some((one) => one.name === name && one.volume === kit.volume)
  const left = await eraseEarlier(at, { ...kit, seed, earlier, there, known, ...(isOpen && { openAt: before.places }) })
  const failed = isSame ? before.places.filter((place) => !ids.includes(place)).map(goneFrom) : []
  await memory.setKeys({ ...(master && { master: toHex(master) }), places: ids, erase: left.pending })
  await memory.unlist(left.staying)
  return { id, places, left: { ...left, failed: [...failed, ...left.failed] } }
}

interface Laying {
  readonly kit: KitToLay
  readonly seed: Uint8Array
  readonly answers: readonly PlaceAnswer[]
  readonly parts: readonly Uint8Array[]
  readonly needed: number
}

/**
 * When the newest kit was made that these words open, by the clock of whoever made it: of two kits on as many places a later one is
 * restored, and no device's clock may decide that.
 */
async function newestMs({ env }: KitPlaces, answers: readonly PlaceAnswer[], master: Uint8Array | undefined) {
  if (!master) return 0 // anybody can make one without words, of any time
  let newest = 0
  for (const kit of groupParts(goodParts(answers))) {
    const key = await keyOfKit(kit)
    const opened = key && (await openKit(env.crypto, kit, { key, secret: { master } }))
    newest = Math.max(newest, opened?.secrets.createdMs ?? 0)
  }
  return newest
}

/** Gives the places their parts. Throws ERR_NO_QUORUM when too few took them. */
async function lay(at: KitPlaces, laying: Laying, memory: KitMemory): Promise<{ id: string; places: LaidPart[] }> {
  const { kit, seed, answers, parts } = laying
  const { kitId, body } = decodeRecoveryPart(parts[0]!)
  const id = toHex(kitId)
  const known = memory.known.find((one) => one.name === kit.name && one.volume === kit.volume)
  const liars = kit.mode === "byzantine" ? parts.length - laying.needed : 0
  // A kit without words may need more parts than are left of a quorum when some of it lie.
  const needed = Math.max(laying.needed, body.threshold + liars)
  // Before it lies anywhere: the next run must know it for one of ours, and not where it lies.
  await memory.remember({ id, isWhole: false, missing: at.backends.map((backend) => backend.id) })
  const last = known?.ids[0]
  const newest = last === undefined ? undefined : { id: last, missing: known?.missing ?? [] }
  const failures = await writeParts(at, seed, { parts, answers, liars, known: newest })
  const places = at.backends.map(({ id }, i): LaidPart => {
    const { why, code } = failures[i] ?? {}
    return { id, ...(why !== undefined && { why }), ...(code && { code }) }
  })
  const failed = places.filter(({ why }) => why !== undefined).map((place) => place.id)
  const taken = places.length - failed.length
  if (taken < needed)
    throw tooFew(taken, needed, "took their part. The kit may not restore. Try again", answersOf(places))
  await memory.remember({ id, isWhole: true, missing: failed })
  return { id, places }
}

/** The kit that the keys name, to be erased. A restored profile does not know where its other kits lie. */
function lastOf(name: string, { master, places }: KitKeys, ids: readonly string[]): PendingErasure[] {
  if (master === undefined) return []
  return [{ seed: toHex(kitSeed(name, fromHex(master))), places: places.length > 0 ? places : ids }]
}

/**
 * Others may use the same places, and one may have given another kit the same passphrase. Of strangers' kits only one that
 * would restore counts: places that lie must not keep us from making ours.
 */
function refuseForeign(
  { name, volume }: Pick<KitToLay, "name" | "volume">,
  found: ReturnType<typeof goodParts>,
  known: readonly KnownKit[],
): void {
  const kits = groupParts(found)
  const own = known.filter((one) => one.name === name && one.volume === volume).flatMap(({ ids }) => ids)
  const another = known.find((one) => kits.some(({ id }) => one.ids.includes(id) && !own.includes(id)))
  if (another)
    throw new HoldfastError(
      "ERR_ALREADY_EXISTS",
      `Some of these places hold the kit "${another.name}" of ${another.volume} where this one would lie. Give this one another name with --name.`,
      { volume: another.volume },
    )
  const foreign = kits.find((kit) => kit.parts.size >= kit.body.threshold && !own.includes(kit.id))
  if (!foreign) return
  throw new HoldfastError(
    "ERR_ALREADY_EXISTS",
    `These places hold a recovery kit "${name}" that this profile did not make. Give yours another name with --name, or replace that one with --replace.`,
    { kit: foreign.id },
  )
}

function tooFew(reached: number, needed: number, what: string, answers: readonly Answer[]): HoldfastError {
  const isQuota = shortageOf(answers, { reached, happy: needed }).code === "ERR_QUOTA_EXCEEDED"
  const why = answers.map((answer) => `${answer.server}: ${answer.why}`)
  return new HoldfastError(
    isQuota ? "ERR_QUOTA_EXCEEDED" : "ERR_NO_QUORUM",
    `Only ${reached} of the ${needed} places needed ${what}: ${why.join("; ")}.`,
    { reached, needed },
  )
}

/** What places said that did not do it. */
function answersOf(
  places: readonly (Partial<Failure> & { readonly place?: string; readonly id?: string })[],
): Answer[] {
  return places.flatMap(({ place, id = "", why, code }) =>
    why === undefined ? [] : [{ server: place ?? id, why, ...(code && { code }) }],
  )
}
