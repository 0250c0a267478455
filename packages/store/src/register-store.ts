/**
 * Registers kept by quorum over all servers of a grid. Specification: docs/formats/register.md. Reads are linearizable
 * while at most f servers fail or lie; a client never goes back behind what it has seen, nor over to another history.
 */
import { fromHex, HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import {
  type ChunkId,
  compareOrder,
  readCheckOf,
  registerIdOf,
  signEpochStatement,
  verifyKeyOf,
} from "@holdfast/protocol"
import { type CommitMarks, createCommits } from "./register-commit.ts"
import { SeenGuard } from "./register-guard.ts"
import { makeNextValue, type NextValue, type WriterDeps } from "./register-next.ts"
import { decodeHeld, type HeldValue, type QuorumDeps, Survey } from "./register-quorum.ts"
import { type Rollback, rollbackError, type SignedEvidence } from "./register-rollback.ts"
import { type OpenedParts, openCare, openParts } from "./register-seal.ts"
import { type AcceptedHistory, orderOf, type SeenStore, sameSeen } from "./register-seen.ts"
import { Watches, watchValues } from "./register-watch.ts"
import type {
  CareKeys,
  OwnedRegisterStore,
  RegisterCare,
  RegisterContent,
  RegisterKeys,
  WriteOptions,
} from "./types.ts"

/** What a register store stands on. */
export interface RegisterDeps extends QuorumDeps, WriterDeps {
  readonly seen: SeenStore
  /**
   * When given, an older value than one seen before, one of another history, or one that is not proven to go on from it, is read all
   * the same, after this was called; what would change a register that was read so is refused. Else reading is refused.
   */
  readonly onRollback?: (rollback: Rollback) => void
  /** When given, a value that is not proven to go on from what was seen is gone on from, after this was called; that is remembered. */
  readonly onUnproven?: (rollback: Rollback) => void
  /** The key of the owner of a register that is made; registers without one have no other epochs. */
  readonly ownerOf?: (register: string) => Promise<Uint8Array>
  /** The marks of commits; without, nothing is known of whether chunks stay that values refer to. */
  readonly marks?: CommitMarks
  /** How the servers are watched, if that is shared or ended with others. */
  readonly watches?: Watches
}

/** The values of the highest order that were read or written, and hashes of known values that all of them follow. */
interface Newest {
  readonly values: readonly HeldValue[]
  readonly followed: ReadonlySet<string>
}

/** Values opened by one store, so that what was read just now is not decrypted again to be followed. */
const maxOpened = 64

const none: Newest = { values: [], followed: new Set() }

/** Registers over `backends`. */
export function createRegisterStore(deps: RegisterDeps): OwnedRegisterStore {
  const { env } = deps
  const watches = deps.watches ?? new Watches(env, deps.backends)
  const commit = createCommits(deps, deps.marks)
  const guard = new SeenGuard({ crypto: env.crypto, seen: deps.seen, chunks: deps.chunks })
  const newest = new Map<string, Newest>() // by register
  const rolledBack = new Map<string, Rollback>()
  const opened = new Map<string, Promise<OpenedParts>>() // by hash

  function open(keys: RegisterKeys, { hash, value }: HeldValue): Promise<OpenedParts> {
    const name = `${hash} ${toHex(readCheckOf(keys.readKey))}`
    let parts = opened.get(name)
    if (!parts) {
      if (opened.size >= maxOpened) opened.clear()
      parts = openParts(env, keys, value)
      opened.set(name, parts)
      void parts.catch(() => opened.delete(name))
    }
    return parts
  }

  async function accept(found: Rollback, read: RegisterKeys | undefined): Promise<void> {
    const devices = read && found.evidence && (await Promise.all(found.evidence.map((one) => deviceOf(read, one))))
    const rollback = devices ? { ...found, devices: [devices[0], devices[1]] as const } : found
    if (!deps.onRollback) throw rollbackError(rollback)
    if (rolledBack.has(rollback.register)) return
    rolledBack.set(rollback.register, rollback)
    deps.onRollback(rollback)
  }

  /** Which device wrote a value, if that may be read. */
  async function deviceOf(keys: RegisterKeys, { value }: SignedEvidence): Promise<string | undefined> {
    try {
      return (await openParts(env, keys, await decodeHeld(env.crypto, fromHex(value)).then((held) => held.value)))
        .author?.name
    } catch (error) {
      if (isHoldfastError(error)) return undefined
      throw error
    }
  }

  /** The values of the highest order, held by a quorum when this resolves; empty when no server has any. */
  async function readNewest(keys: CareKeys, read?: RegisterKeys, signal?: AbortSignal): Promise<Newest> {
    const register = toHex(registerIdOf(keys.publicKey))
    let seen = await guard.seen(register)
    const survey = await Survey.start(deps, keys.publicKey, signal)
    const openHistory = async ({ value }: HeldValue) => (await openCare(env, keys, value)).history
    const judge = () => guard.judge(register, { seen, values: survey.newest(), stable: survey.stable(), openHistory })
    let unproven: Rollback | undefined
    let followed: ReadonlySet<string>
    for (;;) {
      let verdict = await judge()
      if (verdict.rollback || survey.newest().length > 1) {
        await survey.hearRest() // of a fork, to know the most held value; before an alarm, to spare a false one
        verdict = await judge()
      }
      const { rollback } = verdict
      followed = verdict.followed
      unproven = rollback?.unproven && deps.onUnproven ? rollback : undefined
      if (rollback && !unproven) {
        await accept(rollback, read)
        return { values: survey.newest(), followed }
      }
      if (!(await survey.settle())) continue
      const now = await guard.seen(register)
      if (!now || (seen && sameSeen(now, seen)) || compareOrder(survey.top, orderOf(now)) < 0) break
      seen = now // what others saw meanwhile of what comes before the answer, that has to follow
    }
    const values = await guard.knownFirst(register, survey.newest())
    const [first] = values
    if (!first) return { values, followed }
    if (unproven) deps.onUnproven?.(unproven)
    const accepted = unproven && stepOf(unproven, env.clock.nowMs())
    await guard.note(register, first, survey.stable(), { followed, accepted })
    newest.set(register, { values, followed })
    return { values, followed }
  }

  /** The values with sequence `after` that the next one follows; undefined when there are newer ones. */
  async function baseOf(
    keys: RegisterKeys,
    register: string,
    { after, signal }: { readonly after: number; readonly signal: AbortSignal | undefined },
  ): Promise<Newest | undefined> {
    const seen = await deps.seen.get(register)
    if (after < (seen?.sequence ?? 0)) return undefined
    if (after === 0) return none
    let base = newest.get(register) ?? none
    if (sequenceOf(base.values) < after) base = await readNewest(careKeysOf(keys), keys, signal)
    if (sequenceOf(base.values) > after) return undefined
    if (sequenceOf(base.values) === after) return base
    throw new HoldfastError(
      "ERR_CONFLICT",
      `The value with sequence ${after} that this write follows is gone: read again and repeat.`,
    )
  }

  async function contentOf(keys: RegisterKeys, values: readonly HeldValue[]): Promise<RegisterContent> {
    return toContent(values, await Promise.all(values.map((held) => open(keys, held))))
  }

  /** What was seen last, whatever servers have now; undefined when that is nothing that can be read. */
  async function remembered(keys: RegisterKeys): Promise<RegisterContent | undefined> {
    try {
      const [known] = await guard.knownOf(toHex(registerIdOf(keys.publicKey)))
      return known && (await contentOf(keys, [known]))
    } catch (error) {
      if (isHoldfastError(error)) return undefined // who reads is told
      throw error
    }
  }

  async function careOf(keys: CareKeys, values: readonly HeldValue[]): Promise<RegisterCare> {
    const parts = await Promise.all(values.map(({ value }) => openCare(env, keys, value)))
    return {
      epoch: values[0]!.value.epoch,
      sequence: sequenceOf(values),
      care: parts.map(({ care }) => care),
      levels: parts.map(({ history }) => history?.levels),
    }
  }

  /** Makes the next value and proposes it; false when the race is lost. */
  async function writeNext(
    keys: RegisterKeys & { readonly seed: Uint8Array },
    { values: base, followed: before }: Newest,
    next: Omit<NextValue, "base">,
    options: WriteOptions,
  ): Promise<boolean> {
    const register = toHex(registerIdOf(keys.publicKey))
    const parents = await Promise.all(base.map(async (held) => ({ ...held, parts: await open(keys, held) })))
    const owner = base.length === 0 || options.claim ? await deps.ownerOf?.(register) : undefined
    const levels: ChunkId[] = [] // where the history of the value lies, as far as that is written anew
    const putChunk: typeof deps.chunks.putChunk = async (...args) => {
      const put = await deps.chunks.putChunk(...args)
      levels.push(put.id)
      return put
    }
    const writer = { ...deps, chunks: { getChunk: deps.chunks.getChunk, putChunk } }
    const bytes = await makeNextValue(writer, keys, { ...next, base: parents, owner }, options)
    const value = await decodeHeld(env.crypto, bytes)
    if (!(await commit(value, { ...options, chunks: [...(options.chunks ?? []), ...levels] }))) return false
    const followed = new Set([...before, ...base.map(({ hash }) => hash)])
    newest.set(register, { values: [value], followed })
    await guard.note(register, value, value, { followed })
    return true
  }

  return {
    async read(keys, { signal, onRemembered } = {}) {
      watches.activity.touch()
      const reading = readNewest(careKeysOf(keys), keys, signal)
      if (onRemembered) void remembered(keys).then((known) => known && onRemembered(known))
      const { values } = await reading
      return values.length === 0 ? undefined : contentOf(keys, values)
    },
    async readCare(keys, { signal } = {}) {
      watches.activity.touch()
      const { values } = await readNewest(keys, undefined, signal)
      return values.length === 0 ? undefined : careOf(keys, values)
    },
    async *watch(keys, options) {
      const read = async () => (await readNewest(careKeysOf(keys), keys)).values
      for await (const values of watchValues(watches, { id: registerIdOf(keys.publicKey), read }, options))
        yield contentOf(keys, values)
    },
    async *watchCare(keys, options) {
      const read = async () => (await readNewest(keys)).values
      for await (const values of watchValues(watches, { id: registerIdOf(keys.publicKey), read }, options))
        yield careOf(keys, values)
    },
    async write(keys, after, parts, options = {}) {
      watches.activity.touch()
      const register = toHex(registerIdOf(keys.publicKey))
      const base = await baseOf(keys, register, { after, signal: options.signal })
      refuseRolledBack(rolledBack.get(register))
      const epoch = base?.values[0]?.value.epoch
      const { afterEpoch = epoch } = options
      // What was made of a value that an owner left out since must not follow another one of that number.
      if (!base || epoch !== afterEpoch) return (requireSeed(keys), false)
      return writeNext(requireSeed(keys), base, { parts }, options)
    },
    async beginEpoch(keys, ownerSeed, options = {}) {
      const register = toHex(registerIdOf(keys.publicKey))
      const writer = requireSeed(keys)
      const known = (await guard.knownOf(register))[0]
      const owner = await env.crypto.publicKeyOf(ownerSeed)
      if (!known?.value.bound || toHex(known.value.bound.owner) !== toHex(owner))
        throw new HoldfastError(
          "ERR_WRONG_CAPABILITY",
          "The version of this tree that was seen here last does not name you as its owner, so you cannot begin another epoch of it.",
        )
      const { epoch, sequence, bound } = known.value
      const statement = {
        ...{ publicKey: keys.publicKey, epoch: epoch + 1, sequence, hash: fromHex(known.hash) },
        ...{ writer: keys.publicKey, readCheck: bound.readCheck },
      }
      const bytes = await signEpochStatement(env.crypto, ownerSeed, statement)
      const { content, care } = await open(keys, known)
      const next = { parts: { content, care }, statement: { epoch: epoch + 1, bytes } }
      if (!(await writeNext(writer, { values: [known], followed: none.followed }, next, options)))
        throw new HoldfastError("ERR_CONFLICT", "Another epoch was begun at the same time. Read again.")
      return { epoch: epoch + 1, sequence: sequence + 1 }
    },
  }
}

function careKeysOf({ publicKey, readKey }: RegisterKeys): CareKeys {
  return { publicKey, verifyKey: verifyKeyOf(readKey) }
}

function refuseRolledBack(rollback: Rollback | undefined): void {
  if (rollback) throw rollbackError(rollback)
}

function requireSeed(keys: RegisterKeys): RegisterKeys & { readonly seed: Uint8Array } {
  const { seed } = keys
  if (seed) return { ...keys, seed }
  throw new HoldfastError(
    "ERR_WRONG_CAPABILITY",
    "This capability only allows reading; writing needs the write capability.",
  )
}

/** The step from what was seen to what is offered, as it is remembered. */
function stepOf({ evidence }: Rollback, timeMs: number): AcceptedHistory {
  const [from, to] = evidence!.map(({ sequence, hash }) => ({ sequence, hash }))
  return { timeMs, from: from!, to: to! }
}

function sequenceOf([first]: readonly HeldValue[]): number {
  return first?.value.sequence ?? 0
}

function isOwned({ value }: HeldValue): boolean {
  return value.bound !== undefined && value.bound.owner.length > 0
}

function toContent(values: readonly HeldValue[], [first, ...siblings]: readonly OpenedParts[]): RegisterContent {
  const contentOf = ({ content, care, author, past, history }: OpenedParts) => ({
    ...{ content, care, past },
    ...(author && { author }),
    ...(history && { levels: history.levels }),
  })
  const { epoch, sequence } = values[0]!.value
  return {
    ...{ epoch, sequence, isOwned: values.some(isOwned), ...contentOf(first!) },
    ...(siblings.length > 0 && { siblings: siblings.map(contentOf) }),
  }
}
