/**
 * Registers kept by quorum over all servers of a grid. Specification: docs/formats/register.md and the section
 * Register of docs/architecture.md. A client never goes back behind a sequence number it has seen.
 */
import { concat, deriveKey, domainPrefix, type Env, equal, HoldfastError, toHex } from "@holdfast/core"
import {
  type Backend,
  decodeRegisterValue,
  type RegisterValue,
  registerHashOf,
  registerIdOf,
  signRegisterValue,
  verifyKeyOf,
} from "@holdfast/protocol"
import type { CareKeys, RegisterContent, RegisterKeys, RegisterParts, RegisterStore } from "./types.ts"

/** Highest sequence number seen of each register, kept on disk by the caller. Ids are in hexadecimal. */
export interface SeenStore {
  get(registerId: string): number | undefined
  set(registerId: string, sequence: number): void
}

/** What a register store stands on. */
export interface RegisterDeps {
  readonly env: Env
  readonly backends: readonly Backend[]
  readonly mode: "crash" | "byzantine"
  readonly seen: SeenStore
  /**
   * When given, an older value than one seen before is read all the same, after this was called; what would change a
   * register that was read so is refused. Else reading is refused.
   */
  readonly onRollback?: (rollback: Rollback) => void
}

/** Servers offer an older value of a register than one seen before. */
export interface Rollback {
  /** In hexadecimal. */
  readonly register: string
  readonly offered: number
  readonly seen: number
}

interface Answer {
  readonly backend: Backend
  /** Absent when the server has no (valid) value. */
  readonly bytes?: Uint8Array
  readonly value?: RegisterValue
}

const contentLabel = "holdfast/register-content/1"
const careLabel = "holdfast/register-care/1"
const zeroNonce = new Uint8Array(12)
const saltBytes = 32

/** How many of `servers` must answer: all but those that may fail or lie. */
export function quorumOf(servers: number, mode: "crash" | "byzantine"): number {
  const faulty = Math.floor((servers - 1) / (mode === "crash" ? 2 : 3))
  return servers - faulty
}

/** Registers over `backends`. */
export function createRegisterStore(deps: RegisterDeps): RegisterStore {
  const newest = new Map<string, Uint8Array>() // encoded value last read or written, by register id
  const rolledBack = new Map<string, Rollback>()

  /** The values of the highest sequence; undefined when no server has any. */
  async function readNewest({ publicKey }: Pick<RegisterKeys, "publicKey">): Promise<RegisterValue[] | undefined> {
    const idHex = toHex(registerIdOf(publicKey))
    const answers = await collectAnswers(deps, publicKey)
    const top = answers.reduce((high, answer) => Math.max(high, answer.value?.sequence ?? 0), 0)
    const rollback = rollbackOf(deps, idHex, top)
    if (rollback && !deps.onRollback) throw rollbackError(rollback)
    if (rollback && !rolledBack.has(idHex)) {
      rolledBack.set(idHex, rollback)
      deps.onRollback?.(rollback)
    }
    if (top === 0) return undefined
    const values = distinctValues(answers, top)
    newest.set(idHex, values[0]!.bytes)
    if (!rollback) {
      deps.seen.set(idHex, top)
      await writeBack(answers, values[0]!.bytes, top)
    }
    return values.map(({ value }) => value)
  }

  return {
    async read(keys) {
      const values = await readNewest(keys)
      if (!values) return undefined
      const parts = await Promise.all(values.map((value) => openParts(deps, keys, value)))
      return toContent(values[0]!.sequence, parts)
    },
    async readCare(keys) {
      const values = await readNewest(keys)
      if (!values) return undefined
      const care = await Promise.all(values.map((value) => openCare(deps, keys, value)))
      return { sequence: values[0]!.sequence, care }
    },
    async write(keys, after, parts) {
      const id = registerIdOf(keys.publicKey)
      const idHex = toHex(id)
      const rollback = rolledBack.get(idHex)
      if (rollback) throw rollbackError(rollback)
      const previous =
        after === 0 ? new Uint8Array(32) : registerHashOf(await valueAt(deps, keys, newest.get(idHex), after))
      if (!keys.seed)
        throw new HoldfastError(
          "ERR_WRONG_CAPABILITY",
          "This capability only allows reading; writing needs the write capability.",
        )
      const sequence = after + 1
      const bytes = await signRegisterValue(deps.env.crypto, keys.seed, {
        sequence,
        previous,
        ...(await sealParts(deps, keys, sequence, parts)),
      })
      if (!(await propose(deps, bytes))) return false
      newest.set(idHex, bytes)
      deps.seen.set(idHex, sequence)
      return true
    },
  }
}

/** Asks every server, resolves as soon as a quorum has answered; of a fork it hears all, to know the most held value. */
async function collectAnswers(deps: RegisterDeps, publicKey: Uint8Array): Promise<Answer[]> {
  const id = registerIdOf(publicKey)
  const needed = quorumOf(deps.backends.length, deps.mode)
  return firstOf(deps.backends, { needed, unless: isForked }, async (backend) => {
    const [bytes] = await backend.readRegisters([id])
    if (!bytes) return { backend }
    try {
      const value = await decodeRegisterValue(deps.env.crypto, bytes)
      return equal(value.publicKey, publicKey) ? { backend, bytes, value } : { backend }
    } catch {
      return { backend } // a lie or rot: the others decide
    }
  })
}

/**
 * Values with the top sequence. More than one: two writers raced and both need merging. First comes the one that most
 * servers hold: with all of them up, the one that was acknowledged.
 */
function distinctValues(answers: readonly Answer[], top: number): { bytes: Uint8Array; value: RegisterValue }[] {
  const byHash = new Map<string, { bytes: Uint8Array; value: RegisterValue; holders: number }>()
  for (const { bytes, value } of answers) {
    if (!bytes || value?.sequence !== top) continue
    const hash = toHex(registerHashOf(bytes))
    byHash.set(hash, { bytes, value, holders: (byHash.get(hash)?.holders ?? 0) + 1 })
  }
  return [...byHash.entries()]
    .sort(([a, x], [b, y]) => y.holders - x.holders || (a < b ? -1 : 1))
    .map(([, found]) => found)
}

function isForked(answers: readonly Answer[]): boolean {
  const top = answers.reduce((high, { value }) => Math.max(high, value?.sequence ?? 0), 0)
  return top > 0 && distinctValues(answers, top).length > 1
}

function toContent(sequence: number, [first, ...siblings]: readonly RegisterParts[]): RegisterContent {
  return { sequence, ...first!, ...(siblings.length > 0 && { siblings }) }
}

/** Brings servers that answered with less up to date; a server that refuses is its own business. */
async function writeBack(answers: readonly Answer[], bytes: Uint8Array, top: number): Promise<void> {
  const laggards = answers.filter((answer) => (answer.value?.sequence ?? 0) < top)
  await Promise.allSettled(laggards.map(({ backend }) => backend.proposeRegisters([bytes])))
}

/** True when a quorum accepted; false when another value was there first. Throws ERR_NO_QUORUM. */
async function propose(deps: RegisterDeps, bytes: Uint8Array): Promise<boolean> {
  const needed = quorumOf(deps.backends.length, deps.mode)
  const failures: string[] = []
  let accepted = 0
  let refused = 0
  await Promise.all(
    deps.backends.map(async (backend) => {
      try {
        const [outcome] = await backend.proposeRegisters([bytes])
        if (outcome?.accepted) accepted++
        else if (outcome?.current) refused++
        else failures.push(`${backend.id}: ${outcome?.message ?? "no answer"}`)
      } catch (error) {
        failures.push(`${backend.id}: ${error instanceof Error ? error.message : String(error)}`)
      }
    }),
  )
  if (accepted >= needed) return true
  if (refused > 0) return false
  throw noQuorum(accepted, needed, failures)
}

/** Runs `ask` on all; resolves when `needed` succeeded, `unless` all are to be heard. Throws ERR_NO_QUORUM. */
async function firstOf(
  backends: readonly Backend[],
  { needed, unless }: { readonly needed: number; readonly unless: (answers: readonly Answer[]) => boolean },
  ask: (backend: Backend) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = []
  const failures: string[] = []
  await new Promise<void>((resolve) => {
    if (backends.length === 0) resolve()
    for (const backend of backends)
      void ask(backend)
        .then(
          (answer) => void answers.push(answer),
          (error) => void failures.push(`${backend.id}: ${error instanceof Error ? error.message : String(error)}`),
        )
        .finally(() => {
          const isLast = answers.length + failures.length === backends.length
          if (isLast || (answers.length >= needed && !unless(answers))) resolve()
        })
  })
  if (answers.length < needed) throw noQuorum(answers.length, needed, failures)
  return [...answers]
}

/** The encoded value with sequence `after`: the one last read, or fetched anew. */
async function valueAt(
  deps: RegisterDeps,
  keys: RegisterKeys,
  known: Uint8Array | undefined,
  after: number,
): Promise<Uint8Array> {
  if (known && (await decodeRegisterValue(deps.env.crypto, known)).sequence === after) return known
  const found = distinctValues(await collectAnswers(deps, keys.publicKey), after)[0]
  if (!found)
    throw new HoldfastError(
      "ERR_CONFLICT",
      `The value with sequence ${after} that this write follows is gone: read again and repeat.`,
    )
  return found.bytes
}

function rollbackOf(deps: RegisterDeps, register: string, offered: number): Rollback | undefined {
  const seen = deps.seen.get(register) ?? 0
  return offered < seen ? { register, offered, seen } : undefined
}

/** The error for what a rollback forbids. */
export function rollbackError(rollback: Rollback): HoldfastError {
  return new HoldfastError(
    "ERR_ROLLBACK",
    `The servers offer version ${rollback.offered} of this tree, but version ${rollback.seen} was seen here before. ` +
      "They may have been restored from an old copy, or someone is hiding newer data. Ask the operator; " +
      "to accept the older version for reading only, use --accept-rollback.",
    { ...rollback },
  )
}

function noQuorum(reached: number, needed: number, failures: readonly string[]): HoldfastError {
  return new HoldfastError(
    "ERR_NO_QUORUM",
    `Only ${reached} of the ${needed} servers needed answered (${failures.join("; ")}). Bring servers back, then try again.`,
    { reached, needed, failures },
  )
}

async function sealParts(deps: RegisterDeps, keys: RegisterKeys, sequence: number, { content, care }: RegisterParts) {
  const place = { publicKey: keys.publicKey, sequence }
  return {
    sealed: await sealPart(deps, keys.readKey, contentLabel, place, content),
    care: await sealPart(deps, verifyKeyOf(keys.readKey), careLabel, place, care),
  }
}

async function openParts(deps: RegisterDeps, keys: RegisterKeys, value: RegisterValue): Promise<RegisterParts> {
  const content = await openPart(deps, keys.readKey, contentLabel, value, value.sealed)
  return { content, care: await openCare(deps, { ...keys, verifyKey: verifyKeyOf(keys.readKey) }, value) }
}

function openCare(deps: RegisterDeps, { verifyKey }: CareKeys, value: RegisterValue): Promise<Uint8Array> {
  return openPart(deps, verifyKey, careLabel, value, value.care)
}

type ValuePlace = Pick<RegisterValue, "publicKey" | "sequence">

async function sealPart(
  deps: RegisterDeps,
  secret: Uint8Array,
  label: string,
  place: ValuePlace,
  plaintext: Uint8Array,
): Promise<Uint8Array> {
  const salt = deps.env.crypto.random(saltBytes)
  const key = deriveKey(secret, label, salt)
  return concat(salt, await deps.env.crypto.seal(key, zeroNonce, plaintext, associatedOf(label, place)))
}

async function openPart(
  deps: RegisterDeps,
  secret: Uint8Array,
  label: string,
  place: ValuePlace,
  sealed: Uint8Array,
): Promise<Uint8Array> {
  const key = deriveKey(secret, label, sealed.subarray(0, saltBytes))
  const opened = await deps.env.crypto.open(key, zeroNonce, sealed.subarray(saltBytes), associatedOf(label, place))
  if (opened) return opened
  throw new HoldfastError(
    "ERR_CORRUPT",
    "The tree's newest value is signed by its writer but does not open with this capability's key.",
  )
}

/** Binds what is sealed to its register and sequence. */
function associatedOf(label: string, { publicKey, sequence }: ValuePlace): Uint8Array {
  const number = new Uint8Array(8)
  new DataView(number.buffer).setBigUint64(0, BigInt(sequence))
  return concat(domainPrefix(label), publicKey, number)
}
