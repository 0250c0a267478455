/** Where the parts of a recovery kit lie: one register of each place, whose key everybody can compute. */
import { equal, HoldfastError, isHoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  type Backend,
  decodeRecoveryPart,
  decodeRegisterValue,
  extendLineage,
  type Followed,
  recoveryRegisterSeed,
  registerHashOf,
  registerIdOf,
  signRegisterValue,
} from "@holdfast/protocol"
import type { FoundPart } from "./kit.ts"

/** What a place answered when it was asked for its part. */
export interface PlaceAnswer {
  readonly place: string
  /** part: a good one; none: it holds none; bad: what it holds is none; away: it did not answer. */
  readonly state: "part" | "none" | "bad" | "away"
  /** Why, when there is no good part. */
  readonly why?: string
  readonly part?: FoundPart["part"]
  /** What the register holds now, for who writes the next value. */
  readonly held?: Followed
}

/** A place that takes longer is given up: one that hangs must not keep anybody from restoring. */
const patienceMs = 30_000

/** Asks every place for its part of the kit `name`. */
export async function readParts(backends: readonly Backend[], name: string): Promise<PlaceAnswer[]> {
  const publicKey = await crypto.publicKeyOf(recoveryRegisterSeed(name))
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
  name: string,
  { parts, answers }: { readonly parts: readonly Uint8Array[]; readonly answers: readonly PlaceAnswer[] },
): Promise<(string | undefined)[]> {
  const seed = recoveryRegisterSeed(name)
  return Promise.all(
    backends.map(async (backend, i): Promise<string | undefined> => {
      const { state, why, held } = answers[i]!
      if (state === "away") return why
      if (held?.value.sequence === Number.MAX_SAFE_INTEGER)
        return `it claims the last sequence number there is. Give the kit another name: --name NAME`
      try {
        const value = await signRegisterValue(crypto, seed, {
          sequence: (held?.value.sequence ?? 0) + 1,
          lineage: extendLineage(held ? [held] : []),
          sealed: parts[i]!,
          care: new Uint8Array(),
        })
        const [outcome] = await within(patienceMs, (signal) => backend.proposeRegisters([value], { signal }))
        return outcome?.accepted ? undefined : (outcome?.message ?? "it did not answer")
      } catch (error) {
        return messageOf(error)
      }
    }),
  )
}

/** A value that is none of this register counts as none held: whatever a place makes up is overwritten. */
async function readAnswer(publicKey: Uint8Array, bytes: Uint8Array | undefined): Promise<Omit<PlaceAnswer, "place">> {
  if (bytes === undefined) return { state: "none" }
  try {
    const value = await decodeRegisterValue(crypto, bytes)
    if (!equal(value.publicKey, publicKey)) return { state: "bad", why: "it answered with another register" }
    const held = { value, hash: registerHashOf(bytes) }
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
