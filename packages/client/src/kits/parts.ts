/**
 * Where the parts of a recovery kit lie: one register of each place, named by its seed. Only who knows the words can
 * compute the seed of a protected kit; everybody that of the others.
 */
import { type Clock, type Env, equal, HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import {
  type Backend,
  decodeRecoveryPart,
  decodeRegisterValue,
  extendLineage,
  type Followed,
  registerHashOf,
  registerIdOf,
  signRegisterValue,
} from "@holdfast/protocol"
import { type Answer, answerOf, refusalOf } from "@holdfast/store"
import { type FoundPart, groupParts } from "./kit.ts"

/** What a place answered when it was asked for its part. */
export interface PlaceAnswer {
  readonly place: string
  /** part: a good one; none: it holds none; erased: no more; bad: what it holds is none; away: it did not answer. */
  readonly state: "part" | "none" | "erased" | "bad" | "away"
  /** Why, when there is no good part. */
  readonly why?: string
  readonly part?: FoundPart["part"]
  /** What the register holds now, for who writes the next value. */
  readonly held?: Followed
}

/** Places that may hold parts, and how they are reached. */
export interface KitPlaces {
  readonly env: Env
  readonly backends: readonly Backend[]
}

/** A place that takes longer is given up: one that hangs must not keep anybody from restoring. */
const patienceMs = 30_000

/** Asks every place for its part of the kit in the register of `seed`. */
export async function readParts({ env, backends }: KitPlaces, seed: Uint8Array): Promise<PlaceAnswer[]> {
  const publicKey = await env.crypto.publicKeyOf(seed)
  return Promise.all(
    backends.map(async (backend): Promise<PlaceAnswer> => {
      const place = backend.id
      try {
        const ids = [registerIdOf(publicKey)]
        const bytes = await within(env.clock, patienceMs, (signal) => backend.readRegisters(ids, { signal }))
        return { place, ...(await readAnswer(env, publicKey, bytes[0])) }
      } catch (error) {
        return { place, state: "away", why: messageOf(error) }
      }
    }),
  )
}

/** The good parts among the answers. */
export function goodParts(answers: readonly PlaceAnswer[]): FoundPart[] {
  return answers.flatMap(({ place, part }) => (part ? [{ place, part }] : []))
}

/** New parts, one for each place, and what is known of where they go. */
export interface NewParts {
  readonly parts: readonly Uint8Array[]
  readonly answers: readonly PlaceAnswer[]
  /** Places that are known to have no part of the kit before: one that does not answer now is else taken to hold one. */
  readonly missing?: readonly string[]
  /** So many places may lie about what they hold or take. */
  readonly liars?: number
}

/**
 * Gives each place its part, over what it holds; says why of each that did not take it. A kit that can be restored is written over
 * only once that, or the new one, can be restored at every moment, whichever places come first and wherever this ends: places
 * without a part of it come first, and when too few of them took theirs, the others keep what they have.
 */
export async function writeParts(
  { env, backends }: KitPlaces,
  seed: Uint8Array,
  { parts, answers, missing = [], liars = 0 }: NewParts,
): Promise<(Failure | undefined)[]> {
  const failures: (Failure | undefined)[] = answers.map(() => undefined)
  const write = async (chosen: readonly number[]) => {
    const giveTo = async (i: number) => {
      failures[i] = await writeOver({ env, backend: backends[i]! }, seed, answers[i]!, parts[i]!)
    }
    await Promise.all(chosen.map(giveTo))
    return chosen.filter((i) => failures[i] === undefined).length
  }
  const all = answers.map((_, i) => i)
  const before = heldKit(answers)
  const isHolder = (i: number) => before !== undefined && kitOf(answers[i]!) === before.id
  const taken = await write(all.filter((i) => !isHolder(i)))
  const holders = all.filter(isHolder)
  if (!before) return failures
  const silent = answers.filter(({ place, state }) => state === "away" && !missing.includes(place)).length
  const thresholds = before.body.threshold + decodeRecoveryPart(parts[0]!).body.threshold
  // Without words a kit may need so many parts that no order helps: then all places have to be there.
  const needed = Math.min(thresholds - 1 + liars, parts.length)
  if (taken + holders.length + silent >= needed) await write(holders)
  else
    for (const i of holders)
      failures[i] = { why: "it keeps its part of the kit before, which too few other places have" }
  return failures
}

/** Of the kits that could be restored from the answers alone, the one with most parts. */
function heldKit(answers: readonly PlaceAnswer[]) {
  const whole = groupParts(goodParts(answers)).filter(({ body, parts }) => parts.size >= body.threshold)
  return whole.sort((a, b) => b.parts.size - a.parts.size)[0]
}

function kitOf({ part }: PlaceAnswer): string | undefined {
  return part && toHex(part.kitId)
}

/** Why a place did not take a part; the code is that of an error. */
export type Failure = Pick<Answer, "why" | "code">

/** What became of erasing a kit at a place. */
export interface Erasure {
  readonly place: string
  /** Why the place may still hold its part. */
  readonly why?: string
  /** It is not this kit's to erase: another device relies on it. */
  readonly stays?: true
}

const madeSince = "another device made a kit there since, which stays"

/** What is erased of a register. */
export interface MeantParts {
  /** Where (everywhere): elsewhere nothing is written. */
  readonly places?: readonly string[]
  /** Which kits (all): parts of others stay. */
  readonly isMeant?: (kitId: string) => boolean
}

/** Writes nothing over the part that each place holds, of those that are meant; says of each that did not take it why, and where another stays. */
export async function eraseParts(
  { env, backends }: KitPlaces,
  seed: Uint8Array,
  { places = backends.map(({ id }) => id), isMeant = () => true }: MeantParts = {},
): Promise<Erasure[]> {
  const answers = await readParts({ env, backends }, seed)
  return Promise.all(
    backends.map(async (backend, i): Promise<Erasure> => {
      const [place, answer] = [backend.id, answers[i]!]
      if (answer.state === "none" || answer.state === "erased") return { place }
      const id = kitOf(answer)
      if (id !== undefined && !isMeant(id)) return { place, why: madeSince, stays: true }
      if (!places.includes(place)) return { place }
      const failure = await writeOver({ env, backend }, seed, answer, new Uint8Array())
      return failure === undefined ? { place } : { place, why: failure.why }
    }),
  )
}

async function writeOver(
  { env: { crypto, clock }, backend }: { readonly env: Env; readonly backend: Backend },
  seed: Uint8Array,
  { state, why, held }: PlaceAnswer,
  part: Uint8Array,
): Promise<Failure | undefined> {
  if (state === "away") return { why: why ?? "it did not answer" }
  if (held?.value.sequence === Number.MAX_SAFE_INTEGER)
    return { why: "it claims the last sequence number there is. Give the kit another name: --name NAME" }
  try {
    const value = await signRegisterValue(crypto, seed, {
      sequence: (held?.value.sequence ?? 0) + 1,
      lineage: extendLineage(held ? [held] : []),
      sealed: part,
      care: new Uint8Array(),
    })
    const [outcome] = await within(clock, patienceMs, (signal) => backend.proposeRegisters([value], { signal }))
    if (!outcome) return { why: "it did not answer" }
    return outcome.accepted ? undefined : refusalOf(backend.id, outcome)
  } catch (error) {
    return answerOf(backend.id, error)
  }
}

/** A value that is none of this register counts as none held: whatever a place makes up is overwritten. */
async function readAnswer(
  { crypto }: Env,
  publicKey: Uint8Array,
  bytes: Uint8Array | undefined,
): Promise<Omit<PlaceAnswer, "place">> {
  if (bytes === undefined) return { state: "none" }
  try {
    const value = await decodeRegisterValue(crypto, bytes)
    if (!equal(value.publicKey, publicKey)) return { state: "bad", why: "it answered with another register" }
    const held = { value, hash: registerHashOf(bytes) }
    if (value.sealed.length === 0) return { state: "erased", held }
    try {
      return { state: "part", part: decodeRecoveryPart(value.sealed), held }
    } catch (error) {
      if (!isHoldfastError(error)) throw error
      return { state: "bad", why: error.message, held }
    }
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    return { state: "bad", why: error.message }
  }
}

async function within<T>(clock: Clock, ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const [abort, done] = [new AbortController(), new AbortController()]
  const late = clock.sleep(ms, done.signal).then(() => {
    const error = new HoldfastError("ERR_SERVER_UNREACHABLE", `it did not answer within ${ms / 1000} s`)
    abort.abort(error)
    throw error
  })
  try {
    return await Promise.race([work(abort.signal), late])
  } finally {
    late.catch(() => undefined)
    done.abort()
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
