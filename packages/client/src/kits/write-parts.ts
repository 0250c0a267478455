/**
 * Giving places the parts of a new kit over what they hold, in an order that may end anywhere, and beside another device that does the
 * same: a kit that restores before does so until the new one does.
 */
import { decodeRecoveryPart } from "@holdfast/protocol"
import { type FoundKit, groupParts } from "./kit.ts"
import { type Failure, goodParts, type KitPlaces, kitOf, newerThan, type PlaceAnswer, writeOver } from "./parts.ts"

/** New parts, one for each place, and what is known of where they go. */
export interface NewParts {
  readonly parts: readonly Uint8Array[]
  readonly answers: readonly PlaceAnswer[]
  /** The newest kit that this device wrote down: a place that does not answer now holds a part of it unless it is among `missing`. */
  readonly known?: { readonly id: string; readonly missing: readonly string[] } | undefined
  /** So many places may lie about what they hold or take. */
  readonly liars?: number
}

/**
 * Gives each place its part, over what it holds; says why of each that did not take it. A kit that can be restored is written over
 * only once that, or the new one, can be restored at every moment, wherever this ends: places without a part of it come first, and
 * when too few of them took theirs, the others keep what they have. One place after the other, in the order of all devices, so that
 * of two that do this at once one hears of the other at the first place where they meet, and stops.
 */
export async function writeParts(
  at: KitPlaces,
  seed: Uint8Array,
  { parts, answers, known, liars = 0 }: NewParts,
): Promise<(Failure | undefined)[]> {
  const failures: (Failure | undefined)[] = answers.map(() => ({ why: madeMeanwhile }))
  const publicKey = await at.env.crypto.publicKeyOf(seed)
  const { body } = decodeRecoveryPart(parts[0]!)
  // Whoever lies can make a value of a register that everybody finds.
  const stops = body.isProtected || liars === 0
  const held = [...answers]
  let isStopped = false
  const write = async (chosen: readonly number[]) => {
    for (const i of chosen) {
      if (isStopped) break
      const [backend, answer] = [at.backends[i]!, held[i]!]
      const { failure, current } = await writeOver({ env: at.env, backend }, seed, answer, parts[i]!)
      failures[i] = failure
      const now = current && (await newerThan(answer, { env: at.env, publicKey, current }))
      if (now && isAmong(answers, now)) held[i] = now
      else if (now) isStopped = stops
    }
    return chosen.filter((i) => failures[i] === undefined).length
  }
  const all = answers.map((_, i) => i)
  const holdersOf = (kits: readonly FoundKit[]) => all.filter((i) => kits.some(({ id }) => kitOf(held[i]!) === id))
  const first = holdersOf(keptKits(answers, liars))
  const taken = await write(all.filter((i) => !first.includes(i)))
  // A place whose answer was old has said by now what it holds.
  const before = keptKits(held, liars)
  const holders = holdersOf(before).filter((i) => failures[i] !== undefined)
  const away = answers.filter(({ state }) => state === "away").map(({ place }) => place)
  const silentOf = ({ id }: FoundKit) =>
    id === known?.id ? away.filter((place) => !known.missing.includes(place)).length : 0
  const mayGo = (kit: FoundKit) => {
    const [old, has] = [kit.body.threshold, kit.parts.size + silentOf(kit)]
    // Without words a kit may need so many parts that no order helps: then all places have to be there.
    return taken + Math.max(has, old) >= old + body.threshold - 1 + liars || taken + has === answers.length
  }
  if (before.every(mayGo)) await write(holders)
  else if (!isStopped)
    for (const i of holders)
      failures[i] = { why: "it keeps its part of the kit before, which too few other places are known to have" }
  return failures
}

const madeMeanwhile = "it was given none, as another device makes this kit at the same time"

/**
 * Of the kits that can be restored from the answers alone the one with most parts; if there is none, all that could be with the places
 * that do not answer, or hold something back.
 */
function keptKits(answers: readonly PlaceAnswer[], liars: number): FoundKit[] {
  const kits = groupParts(goodParts(answers))
  const whole = kits.filter(({ body, parts }) => parts.size >= body.threshold)
  const [best] = whole.sort((a, b) => b.parts.size - a.parts.size)
  if (best) return [best]
  const hidden = answers.filter(({ state }) => state === "away").length + liars
  return kits.filter(({ body, parts }) => parts.size + hidden >= body.threshold)
}

/** Whether other places answered with a part of the same kit: then it is no other device's. */
function isAmong(answers: readonly PlaceAnswer[], one: PlaceAnswer): boolean {
  return kitOf(one) !== undefined && answers.some((answer) => kitOf(answer) === kitOf(one))
}
