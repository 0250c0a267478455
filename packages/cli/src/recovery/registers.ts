/**
 * Where the parts of a recovery kit lie: one register of each place, named by its seed. Only who knows the words can
 * compute the seed of a protected kit; everybody that of the others.
 */
import { equal, HoldfastError, isHoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
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

/** A place that takes longer is given up: one that hangs must not keep anybody from restoring. */
const patienceMs = 30_000

/** Asks every place for its part of the kit in the register of `seed`. */
export async function readParts(backends: readonly Backend[], seed: Uint8Array): Promise<PlaceAnswer[]> {
  const publicKey = await crypto.publicKeyOf(seed)
  return Promise.all(
    backends.map(async (backend): Promise<PlaceAnswer> => {
      const place = backend.id
      try {
        const bytes = await within(patienceMs, (signal) => backend.readRegisters([registerIdOf(publicKey)], { signal }))
        return { place, ...(await readAnswer(publicKey, bytes[0])) }
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

/** Gives each place its part, over what it holds; says why of each that did not take it. */
export async function writeParts(
  backends: readonly Backend[],
  seed: Uint8Array,
  { parts, answers }: { readonly parts: readonly Uint8Array[]; readonly answers: readonly PlaceAnswer[] },
): Promise<(string | undefined)[]> {
  return Promise.all(backends.map((backend, i) => writeOver(backend, seed, answers[i]!, parts[i]!)))
}

/** What became of erasing a kit at a place. */
export interface Erasure {
  readonly place: string
  /** Why the place may still hold its part. */
  readonly why?: string
}

/** Writes nothing over the part that each place holds, of those that hold any; says of each that did not take it why. */
export async function eraseParts(backends: readonly Backend[], seed: Uint8Array): Promise<Erasure[]> {
  const answers = await readParts(backends, seed)
  return Promise.all(
    backends.map(async (backend, i): Promise<Erasure> => {
      const [place, answer] = [backend.id, answers[i]!]
      if (answer.state === "none" || answer.state === "erased") return { place }
      const why = await writeOver(backend, seed, answer, new Uint8Array())
      return why === undefined ? { place } : { place, why }
    }),
  )
}

async function writeOver(
  backend: Backend,
  seed: Uint8Array,
  { state, why, held }: PlaceAnswer,
  part: Uint8Array,
): Promise<string | undefined> {
  if (state === "away") return why
  if (held?.value.sequence === Number.MAX_SAFE_INTEGER)
    return `it claims the last sequence number there is. Give the kit another name: --name NAME`
  try {
    const value = await signRegisterValue(crypto, seed, {
      sequence: (held?.value.sequence ?? 0) + 1,
      lineage: extendLineage(held ? [held] : []),
      sealed: part,
      care: new Uint8Array(),
    })
    const [outcome] = await within(patienceMs, (signal) => backend.proposeRegisters([value], { signal }))
    return outcome?.accepted ? undefined : (outcome?.message ?? "it did not answer")
  } catch (error) {
    return messageOf(error)
  }
}

/** A value that is none of this register counts as none held: whatever a place makes up is overwritten. */
async function readAnswer(publicKey: Uint8Array, bytes: Uint8Array | undefined): Promise<Omit<PlaceAnswer, "place">> {
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

async function within<T>(ms: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new HoldfastError("ERR_SERVER_UNREACHABLE", `it did not answer within ${ms / 1000} s`))
      abort.abort()
    }, ms)
  })
  try {
    return await Promise.race([work(abort.signal), late])
  } finally {
    clearTimeout(timer)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
