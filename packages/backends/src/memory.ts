/** A backend in memory: for tests, the simulator and caches. Checks everything that a storage node checks. */
import { type CryptoProvider, isHoldfastError, toHex } from "@holdfast/core"
import {
  type Backend,
  type ChunkId,
  decodeRegisterValue,
  type ProposeOutcome,
  type PutOutcome,
  registerIdOf,
  type ShareQuery,
  verifyShare,
} from "@holdfast/protocol"
import { answerBlocks } from "./blocks.ts"
import { checkListLimit, type HeldValue, judgeProposal } from "./rules.ts"

/** Options of a memory backend. */
export interface MemoryOptions {
  /** Most bytes it takes before it answers "quota"; unlimited by default. */
  readonly quotaBytes?: number
  /** Most bytes it holds before it answers "full"; unlimited by default. */
  readonly capacityBytes?: number
  /** The time that shares are stamped with; the machine's by default. */
  readonly nowMs?: () => number
}

interface Held {
  readonly id: ChunkId
  readonly index: number
  readonly bytes: Uint8Array
  touchedMs: number
}

/** An empty backend in memory. */
export function createMemoryBackend(id: string, crypto: CryptoProvider, options: MemoryOptions = {}): Backend {
  const { quotaBytes, capacityBytes, nowMs = Date.now } = options
  const chunks = new Map<string, Map<number, Held>>()
  const registers = new Map<string, HeldValue>()
  let usedBytes = 0
  let shareCount = 0

  const find = ({ id: chunkId, index }: ShareQuery): Held[] => {
    const held = chunks.get(toHex(chunkId))
    if (!held) return []
    if (index === undefined) return [...held.values()]
    const one = held.get(index)
    return one ? [one] : []
  }

  const put = async (bytes: Uint8Array): Promise<PutOutcome> => {
    const checked = await verifyShare(crypto, bytes).catch(refusal)
    if ("ok" in checked) return checked
    const [existing] = find(checked)
    if (existing) {
      existing.touchedMs = nowMs()
      return { ok: true, existed: true }
    }
    const total = usedBytes + bytes.length
    if (quotaBytes !== undefined && total > quotaBytes)
      return {
        ok: false,
        code: "quota",
        message: `Server ${id} allows ${quotaBytes} bytes, of which ${usedBytes} are used.`,
      }
    if (capacityBytes !== undefined && total > capacityBytes)
      return { ok: false, code: "full", message: `Server ${id} is full.` }
    const key = toHex(checked.id)
    const held = chunks.get(key) ?? new Map<number, Held>()
    chunks.set(key, held)
    held.set(checked.index, { id: checked.id.slice(), index: checked.index, bytes: bytes.slice(), touchedMs: nowMs() })
    usedBytes = total
    shareCount++
    return { ok: true, existed: false }
  }

  const remove = (held: Held) => {
    const key = toHex(held.id)
    const siblings = chunks.get(key)!
    siblings.delete(held.index)
    if (siblings.size === 0) chunks.delete(key)
    usedBytes -= held.bytes.length
    shareCount--
  }

  const propose = async (bytes: Uint8Array): Promise<ProposeOutcome> => {
    const value = await decodeRegisterValue(crypto, bytes).catch(refusal)
    if ("ok" in value) return { accepted: false, message: value.message }
    const key = toHex(registerIdOf(value.publicKey))
    const outcome = judgeProposal(registers.get(key), { sequence: value.sequence, bytes })
    if (outcome.accepted) registers.set(key, { sequence: value.sequence, bytes: bytes.slice() })
    return outcome
  }

  return {
    id,
    putShares: (shares) => inOrder(shares, put),
    getShares: async (queries) => queries.map((query) => find(query)[0]?.bytes.slice()),
    getBlocks: (queries) =>
      inOrder(queries, (query) => {
        const [held] = find(query)
        return answerBlocks(query, async (offset, length) => held?.bytes.subarray(offset, offset + length))
      }),
    async hasShares(ids, { touch = false } = {}) {
      return ids.map((chunkId) => {
        const held = find({ id: chunkId })
        if (touch) for (const share of held) share.touchedMs = nowMs()
        return held.map((share) => share.index).sort((a, b) => a - b)
      })
    },
    async listShares({ after, limit }) {
      checkListLimit(limit)
      const from = after ? toHex(after.id) : ""
      const keys = [...chunks.keys()].filter((key) => key >= from).sort()
      const page: Held[] = []
      for (const key of keys) {
        if (page.length >= limit) break
        const held = [...chunks.get(key)!.values()].sort((a, b) => a.index - b.index)
        page.push(...held.filter((share) => key !== from || share.index > after!.index))
      }
      return page.slice(0, limit).map((share) => ({
        id: share.id,
        index: share.index,
        sizeBytes: share.bytes.length,
        touchedMs: share.touchedMs,
      }))
    },
    async removeShares(removals) {
      for (const { touchedBeforeMs = Number.POSITIVE_INFINITY, ...query } of removals)
        for (const held of find(query)) if (held.touchedMs < touchedBeforeMs) remove(held)
    },
    readRegisters: async (ids) => ids.map((registerId) => registers.get(toHex(registerId))?.bytes.slice()),
    proposeRegisters: (values) => inOrder(values, propose),
    usage: async () => ({
      usedBytes,
      shareCount,
      ...(quotaBytes !== undefined && { quotaBytes }),
      ...(capacityBytes !== undefined && { availableBytes: Math.max(0, capacityBytes - usedBytes) }),
    }),
    close: async () => undefined,
  }
}

/** The outcome for what does not verify; anything but a HoldfastError is a bug and goes on. */
function refusal(error: unknown): { ok: false; code: "bad-share"; message: string } {
  if (isHoldfastError(error)) return { ok: false, code: "bad-share", message: error.message }
  throw error
}

async function inOrder<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (const item of items) results.push(await work(item))
  return results
}
