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
import type { FoundPart } from "./kit.ts"

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

/** The id of the kit that an answer has a part of. */
export function kitOf({ part }: PlaceAnswer): string | undefined {
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

/**
 * Writes nothing over the part that each place holds, of those that are meant; says of each that did not take it why, and where another
 * stays.
 */
export async function eraseParts(
  { env, backends }: KitPlaces,
  seed: Uint8Array,
  { places = backends.map(({ id }) => id), isMeant = () => true }: MeantParts = {},
): Promise<Erasure[]> {
  const answers = await readParts({ env, backends }, seed)
  const publicKey = await env.crypto.publicKeyOf(seed)
  const erase = async (backend: Backend, answer: PlaceAnswer, isAgain = false): Promise<Erasure> => {
    const place = backend.id
    if (answer.state === "none" || answer.state === "erased") return { place }
    const id = kitOf(answer)
    if (id !== undefined && !isMeant(id)) return { place, why: madeSince, stays: true }
    if (!places.includes(place)) return { place }
    const { failure, current } = await writeOver({ env, backend }, seed, answer, new Uint8Array())
    // A place whose answer was old says by now what it holds.
    const now = current && !isAgain ? await newerThan(answer, { env, publicKey, current }) : undefined
    if (now) return erase(backend, now, true)
    return failure === undefined ? { place } : { place, why: failure.why }
  }
  return Promise.all(backends.map((backend, i) => erase(backend, answers[i]!)))
}

/** What became of a value. */
export interface WrittenOver {
  /** Why the place did not take it. */
  readonly failure?: Failure
  /** What it says it holds instead. */
  readonly current?: Uint8Array
}

/** Gives a place the next value of the register after what it answered. */
export async function writeOver(
  { env: { crypto, clock }, backend }: { readonly env: Env; readonly backend: Backend },
  seed: Uint8Array,
  { state, why, held }: PlaceAnswer,
  part: Uint8Array,
): Promise<WrittenOver> {
  if (state === "away") return { failure: { why: why ?? "it did not answer" } }
  if (held?.value.sequence === Number.MAX_SAFE_INTEGER)
    return { failure: { why: "it claims the last sequence number there is. Give the kit another name: --name NAME" } }
  try {
    const value = await signRegisterValue(crypto, seed, {
      sequence: (held?.value.sequence ?? 0) + 1,
      lineage: extendLineage(held ? [held] : []),
      sealed: part,
      care: new Uint8Array(),
    })
    const [outcome] = await within(clock, patienceMs, (signal) => backend.proposeRegisters([value], { signal }))
    if (!outcome) return { failure: { why: "it did not answer" } }
    if (outcome.accepted) return {}
    return { failure: refusalOf(backend.id, outcome), ...(outcome.current && { current: outcome.current }) }
  } catch (error) {
    return { failure: answerOf(backend.id, error) }
  }
}

/** What a place holds now, when it came after what it answered. */
export async function newerThan(
  { place, held }: PlaceAnswer,
  { env, publicKey, current }: { readonly env: Env; readonly publicKey: Uint8Array; readonly current: Uint8Array },
): Promise<PlaceAnswer | undefined> {
  const now = await readAnswer(env, publicKey, current)
  const isNewer = now.held !== undefined && now.held.value.sequence > (held?.value.sequence ?? 0)
  return isNewer ? { place, ...now } : undefined
}

/** What the value of a place says. One that is none of this register counts as none held: whatever a place makes up is overwritten. */
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
