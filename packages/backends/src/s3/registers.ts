/**
 * Registers as objects of a bucket: one for each (register, sequence), created only where there is none, so that of two
 * writers with one number exactly one succeeds. Specification: docs/formats/bucket.md.
 */
import { type CryptoProvider, equal, isHoldfastError, limits, mapPool } from "@holdfast/core"
import {
  type CallOptions,
  decodeRegisterValue,
  type ProposeOutcome,
  type RegisterId,
  registerIdOf,
} from "@holdfast/protocol"
import { type HeldValue, judgeProposal } from "../rules.ts"
import type { Bucket, ObjectInfo } from "./bucket.ts"
import { registerKey, registerPrefix } from "./keys.ts"

/** How registers are kept. */
export interface RegisterOptions {
  readonly crypto: CryptoProvider
  readonly conditional: boolean
}

interface Newest extends HeldValue {
  readonly key: string
}

const parallel = 16
/** Values of a register that stay, so that a reader between list and get still finds what it saw. */
const keptValues = 4
/** When so many more have come together, the oldest are removed. */
const surplusValues = 4

/** The register calls of a backend over `bucket`. */
export function registerCalls(bucket: Bucket, options: RegisterOptions) {
  const proposing = new Map<string, Promise<unknown>>()

  /** Proposals of this process to one register take turns: without conditional writes this is all that keeps order. */
  const inTurn = async <T>(register: string, work: () => Promise<T>): Promise<T> => {
    const before = proposing.get(register)
    const mine = (async () => {
      await before?.catch(() => undefined)
      return work()
    })()
    proposing.set(register, mine)
    try {
      return await mine
    } finally {
      if (proposing.get(register) === mine) proposing.delete(register)
    }
  }

  return {
    readRegisters: (ids: readonly RegisterId[], { signal }: CallOptions = {}) =>
      mapPool(ids, parallel, async (id) => (await newestValue(bucket, options, id, signal)).newest?.bytes),
    proposeRegisters: (values: readonly Uint8Array[], { signal }: CallOptions = {}) =>
      mapPool(values, parallel, async (bytes): Promise<ProposeOutcome> => {
        const value = await decodeRegisterValue(options.crypto, bytes).catch((error: unknown) => {
          if (isHoldfastError(error) && isForm(error.code)) return { accepted: false as const, message: error.message }
          throw error
        })
        if ("accepted" in value) return value
        const { publicKey, sequence, epoch } = value
        const id = registerIdOf(publicKey)
        return inTurn(registerPrefix(id), () => propose(bucket, options, id, { sequence, epoch, bytes }, signal))
      }),
  }
}

const formCodes = new Set(["ERR_BAD_FORMAT", "ERR_UNSUPPORTED_VERSION", "ERR_LIMIT", "ERR_CORRUPT"])

function isForm(code: string): boolean {
  return formCodes.has(code)
}

/**
 * Creates the value's object, then looks whether it is the newest: a slow writer whose number others have passed must
 * not take its value for accepted.
 */
async function propose(
  bucket: Bucket,
  options: RegisterOptions,
  id: RegisterId,
  proposed: HeldValue,
  signal: AbortSignal | undefined,
): Promise<ProposeOutcome> {
  const key = registerKey(id, proposed.sequence, proposed.epoch)
  if (!options.conditional) {
    const { newest } = await newestValue(bucket, options, id, signal)
    const outcome = judgeProposal(newest, proposed)
    if (!outcome.accepted || (newest && equal(newest.bytes, proposed.bytes))) return outcome
  }
  const created = await bucket.put(key, proposed.bytes, { ifAbsent: options.conditional, signal })
  if (created === "exists" && !(await validValue(bucket, options, id, key, signal)))
    await bucket.put(key, proposed.bytes, { signal }) // rot, or what somebody else put there
  // Without conditional writes another writer may have replaced it meanwhile.
  const known = options.conditional && created === "stored" ? { ...proposed, key } : undefined
  const { newest, keys } = await newestValue(bucket, options, id, signal, known)
  const outcome = judgeProposal(newest, proposed)
  if (!outcome.accepted && created === "stored" && outcome.current && !equal(outcome.current, proposed.bytes))
    await bucket.remove(key, { signal })
  if (keys.length >= keptValues + surplusValues)
    await Promise.all(keys.slice(keptValues).map((old) => bucket.remove(old, { signal })))
  return outcome
}

/** The newest value that is truly one of the register; objects that are none are passed over. `known` is not read. */
async function newestValue(
  bucket: Bucket,
  options: RegisterOptions,
  id: RegisterId,
  signal: AbortSignal | undefined,
  known?: Newest,
): Promise<{ newest?: Newest; keys: string[] }> {
  for (let attempt = 0; ; attempt++) {
    const infos = await bucket.list(registerPrefix(id), { limit: keptValues + surplusValues, signal })
    const keys = infos.map(({ key }: ObjectInfo) => key)
    for (const key of keys) {
      const newest = key === known?.key ? known : await validValue(bucket, options, id, key, signal)
      if (newest) return { newest, keys }
    }
    // All may have been removed by a writer since they were listed.
    if (keys.length === 0 || attempt === 1) return { keys }
  }
}

async function validValue(
  bucket: Bucket,
  options: RegisterOptions,
  id: RegisterId,
  key: string,
  signal: AbortSignal | undefined,
): Promise<Newest | undefined> {
  try {
    const bytes = await bucket.get(key, limits.registerValueBytes, { signal })
    if (!bytes) return undefined
    const { publicKey, sequence, epoch } = await decodeRegisterValue(options.crypto, bytes)
    return equal(registerIdOf(publicKey), id) && registerKey(id, sequence, epoch) === key
      ? { key, sequence, bytes }
      : undefined
  } catch (error) {
    if (isHoldfastError(error) && isForm(error.code)) return undefined
    throw error
  }
}
