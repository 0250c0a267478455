/**
 * Registers kept by quorum over all servers of a grid. Specification: docs/formats/register.md. Reads are linearizable
 * while at most f servers fail or lie; a client never goes back behind what it has seen, nor over to another history.
 */
import { assert, fromHex, HoldfastError, toHex } from "@holdfast/core"
import { type AccountId, type ChunkId, extendLineage, registerIdOf, signRegisterValue } from "@holdfast/protocol"
import { Batch } from "./batch.ts"
import { decodeHeld, type HeldValue, propose, type QuorumDeps, Survey } from "./register-quorum.ts"
import { openCare, openParts, sealParts } from "./register-seal.ts"
import { type Rollback, rollbackError, SeenGuard, type SeenStore } from "./register-seen.ts"
import type { RegisterContent, RegisterKeys, RegisterParts, RegisterStore, WriteOptions } from "./types.ts"

/** What a register store stands on. */
export interface RegisterDeps extends QuorumDeps {
  readonly seen: SeenStore
  /**
   * When given, an older value than one seen before, or one of another history, is read all the same, after this was
   * called; what would change a register that was read so is refused. Else reading is refused.
   */
  readonly onRollback?: (rollback: Rollback) => void
  /** The marks of commits; without, values cannot refer to chunks. */
  readonly marks?: CommitMarks
}

/** How a commit's chunks are marked. */
export interface CommitMarks {
  /** So many places with a share of their own must vouch for each chunk. */
  readonly happy: number
  /** A batch for a commit to a tree that is held for `accounts` too. */
  batch(accounts: readonly AccountId[]): Batch
  /** Marks those of `ids` that `batch` has not marked, on `happy` places. Throws ERR_NOT_ENOUGH_SHARES. */
  mark(ids: readonly ChunkId[], batch: Batch): Promise<void>
  /** A batch is done, or marks of it are gone. */
  leave(batch: Batch): void
}

/** A commit marks anew so many times what was taken away under its hands, then gives up. */
const maxRounds = 5

/** Registers over `backends`. */
export function createRegisterStore(deps: RegisterDeps): RegisterStore {
  const { env } = deps
  const marks = deps.marks ?? noMarks(deps)
  const guard = new SeenGuard(env.crypto, deps.seen)
  const newest = new Map<string, readonly HeldValue[]>() // values last read or written, by register
  const rolledBack = new Map<string, Rollback>()

  function accept(rollback: Rollback): void {
    if (!deps.onRollback) throw rollbackError(rollback)
    if (rolledBack.has(rollback.register)) return
    rolledBack.set(rollback.register, rollback)
    deps.onRollback(rollback)
  }

  /** The values of the highest sequence, held by a quorum when this resolves; empty when no server has any. */
  async function readNewest({ publicKey }: Pick<RegisterKeys, "publicKey">): Promise<readonly HeldValue[]> {
    const register = toHex(registerIdOf(publicKey))
    const survey = await Survey.start(deps, publicKey)
    for (;;) {
      let rollback = await guard.judge(register, survey.newest(), survey.stable())
      if (rollback || survey.newest().length > 1) {
        await survey.hearRest() // of a fork, to know the most held value; before an alarm, to spare a false one
        rollback = await guard.judge(register, survey.newest(), survey.stable())
      }
      if (rollback) {
        accept(rollback)
        return survey.newest()
      }
      if (await survey.settle()) break
    }
    const values = guard.knownFirst(register, survey.newest())
    if (sequenceOf(values) === 0) return values
    newest.set(register, values)
    guard.note(register, sequenceOf(values), survey.stable())
    return values
  }

  /** The values with sequence `after` that the next one follows; undefined when there are newer ones. */
  async function baseOf(
    keys: RegisterKeys,
    register: string,
    after: number,
  ): Promise<readonly HeldValue[] | undefined> {
    if (after < (deps.seen.get(register)?.sequence ?? 0)) return undefined
    if (after === 0) return []
    let values = newest.get(register) ?? []
    if (sequenceOf(values) < after) values = await readNewest(keys)
    if (sequenceOf(values) > after) return undefined
    if (sequenceOf(values) === after) return values
    throw new HoldfastError(
      "ERR_CONFLICT",
      `The value with sequence ${after} that this write follows is gone: read again and repeat.`,
    )
  }

  /**
   * Marks what `value` refers to and proposes it, again when places say that marks are gone or do not vouch: between an
   * acknowledgement and a collection beside it stands their word, no time.
   */
  async function commit(value: HeldValue, { chunks = [], accounts = [] }: WriteOptions): Promise<boolean> {
    for (let round = 1; round <= maxRounds; round++) {
      const batch = marks.batch(accounts)
      await marks.mark(chunks, batch)
      const commitment = { batch, patterns: batch.patterns(chunks), happy: marks.happy }
      const proposal = await propose(deps, value, commitment)
      if (proposal === "lost") return false
      marks.leave(batch)
      if (proposal === "taken") return true
    }
    throw new HoldfastError(
      "ERR_NOT_ENOUGH_SERVERS",
      "The change was not acknowledged: too few servers keep what it stored, although it was stored again several times. " +
        "What was there before stays readable. Look at the servers with `holdfast status`, then repeat.",
      { happy: marks.happy, rounds: maxRounds },
    )
  }

  return {
    async read(keys) {
      const values = await readNewest(keys)
      if (values.length === 0) return undefined
      const parts = await Promise.all(values.map(({ value }) => openParts(env, keys, value)))
      return toContent(sequenceOf(values), parts)
    },
    async readCare(keys) {
      const values = await readNewest(keys)
      if (values.length === 0) return undefined
      const care = await Promise.all(values.map(({ value }) => openCare(env, keys, value)))
      return { sequence: sequenceOf(values), care }
    },
    async write(keys, after, parts, options = {}) {
      const register = toHex(registerIdOf(keys.publicKey))
      const base = await baseOf(keys, register, after)
      const rollback = rolledBack.get(register)
      if (rollback) throw rollbackError(rollback)
      if (!keys.seed)
        throw new HoldfastError(
          "ERR_WRONG_CAPABILITY",
          "This capability only allows reading; writing needs the write capability.",
        )
      if (!base) return false
      const sequence = after + 1
      const bytes = await signRegisterValue(env.crypto, keys.seed, {
        ...{ sequence, lineage: extendLineage(base.map(({ hash, value }) => ({ hash: fromHex(hash), value }))) },
        ...(await sealParts(env, keys, sequence, parts)),
      })
      const value = await decodeHeld(env.crypto, bytes)
      if (!(await commit(value, options))) return false
      newest.set(register, [value])
      guard.note(register, sequence, value)
      return true
    },
  }
}

function noMarks({ env }: QuorumDeps): CommitMarks {
  return {
    happy: 0,
    batch: (accounts) => new Batch(env.crypto.random(16), accounts, 0),
    mark: async (ids) => assert(ids.length === 0, "this store keeps registers alone"),
    leave: () => undefined,
  }
}

function sequenceOf([first]: readonly HeldValue[]): number {
  return first?.value.sequence ?? 0
}

function toContent(sequence: number, [first, ...siblings]: readonly RegisterParts[]): RegisterContent {
  return { sequence, ...first!, ...(siblings.length > 0 && { siblings }) }
}
