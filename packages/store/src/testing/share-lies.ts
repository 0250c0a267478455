/** Lies about shares, and the ways to be no use at all. */
import { HoldfastError, limits, toHex } from "@holdfast/core"
import { type Backend, type BlockAnswer, decodeShare, decodeShareHead, type MarkInfo } from "@holdfast/protocol"
import type { Heard, LieMaker } from "./heard.ts"

/** Names of the lies here. */
export type ShareLie = keyof typeof shareLies

/** Changes each share that the honest server would give. */
function given(change: (share: Uint8Array, heard: Heard) => Uint8Array | undefined): LieMaker {
  return (honest, heard) => ({
    getShares: async (...args) =>
      (await honest.getShares(...args)).map((share) => share && change(share.slice(), heard)),
  })
}

/** Changes each answer about blocks that the honest server would give. */
function blocksGiven(change: (answer: BlockAnswer) => BlockAnswer | undefined): LieMaker {
  return (honest) => ({
    getBlocks: async (...args) =>
      (await honest.getBlocks(...args)).map(
        (answer) => answer && change({ ...answer, leaves: answer.leaves.slice(), blocks: answer.blocks.slice() }),
      ),
  })
}

/** What is done instead of every call. */
function instead(work: <T>(call: () => Promise<T>, honest: Backend, heard: Heard) => Promise<T>): LieMaker {
  return (honest, heard) => ({
    putShares: (...args) => work(() => honest.putShares(...args), honest, heard),
    getShares: (...args) => work(() => honest.getShares(...args), honest, heard),
    getBlocks: (...args) => work(() => honest.getBlocks(...args), honest, heard),
    hasShares: (...args) => work(() => honest.hasShares(...args), honest, heard),
    markShares: (...args) => work(() => honest.markShares(...args), honest, heard),
    listMarks: (...args) => work(() => honest.listMarks(...args), honest, heard),
    listRegisters: (...args) => work(() => honest.listRegisters(...args), honest, heard),
    collectToken: (...args) => work(() => honest.collectToken(...args), honest, heard),
    unmark: (...args) => work(() => honest.unmark(...args), honest, heard),
    readRegisters: (...args) => work(() => honest.readRegisters(...args), honest, heard),
    keptValues: (...args) => work(() => honest.keptValues(...args), honest, heard),
    proposeRegisters: (...args) => work(() => honest.proposeRegisters(...args), honest, heard),
    usage: (...args) => work(() => honest.usage(...args), honest, heard),
  })
}

/** Batch answers in another order. */
const permuted = <T>(answers: readonly T[]): T[] => [...answers.slice(1), ...answers.slice(0, 1)]

/** `share` under the index of another. */
function renumbered(share: Uint8Array, step: number): Uint8Array {
  const { index, descriptor } = decodeShare(share)
  share[4] = (index + step) % descriptor.n
  return share
}

function flipped(bytes: Uint8Array): Uint8Array {
  if (bytes.length > 0) bytes[bytes.length - 1]! ^= 1
  return bytes
}

function extended(share: Uint8Array, length: number): Uint8Array {
  const longer = new Uint8Array(length)
  longer.set(share)
  return longer
}

/** The share heard last of a chunk that is not `share`'s. */
function ofOtherChunk(share: Uint8Array, { shares }: Heard): Uint8Array | undefined {
  const own = toHex(decodeShare(share).id)
  return shares.findLast((other) => toHex(decodeShare(other).id) !== own)
}

const allIndices = Array.from({ length: limits.maxShares + 1 }, (_, index) => index)

/** A page of shares that nobody ever stored, after where it was asked to go on. */
function inventedPage(after: MarkInfo["id"] | undefined, limit: number): MarkInfo[] {
  const first = after ? new DataView(after.buffer, after.byteOffset).getUint32(28) + 1 : 0
  return Array.from({ length: limit }, (_, i) => {
    const id = new Uint8Array(32)
    new DataView(id.buffer).setUint32(28, first + i)
    return { id, index: 0, sizeBytes: Number.MAX_SAFE_INTEGER }
  })
}

/** Lies about shares. */
export const shareLies = {
  /** The right descriptor over wrong bytes. */
  "wrong share": given(flipped),
  /** A right share that claims the place of another. */
  "wrong index": given((share) => renumbered(share, 1)),
  /** The place of another server's share over wrong bytes, to have that one dropped. */
  "share of another index": given((share) => renumbered(flipped(share), 2)),
  /** A genuine share of another chunk. */
  "share of another chunk": given(ofOtherChunk),
  "truncated share": given((share) => share.subarray(0, share.length >> 1)),
  "empty share": given(() => new Uint8Array()),
  "share with a tail": given((share) => extended(share, share.length + 1)),
  "oversize share": given((share) => extended(share, limits.shareBytes + 1)),
  "wrong block": blocksGiven((answer) => ({ ...answer, blocks: flipped(answer.blocks) })),
  /** A proof that does not belong to the block. */
  "wrong leaves": blocksGiven((answer) => ({ ...answer, leaves: answer.leaves.toReversed() })),
  /** Blocks without what proves them. */
  "no leaves": blocksGiven((answer) => ({ ...answer, leaves: new Uint8Array() })),
  "blocks cut short": blocksGiven((answer) => ({
    ...answer,
    blocks: answer.blocks.subarray(0, answer.blocks.length >> 1),
  })),
  "no blocks": blocksGiven(() => undefined),
  /** A genuine share but for the hashes that others need to restore its data. */
  "wrong leaf section": given((share) => {
    const { leavesStart, payloadStart } = decodeShareHead(share)
    if (payloadStart > leavesStart) share[leavesStart]! ^= 1
    return share
  }),
  /** Answers in another order than asked. */
  "permuted answers": (honest) => ({
    putShares: async (...args) => permuted(await honest.putShares(...args)),
    getShares: async (...args) => permuted(await honest.getShares(...args)),
    getBlocks: async (...args) => permuted(await honest.getBlocks(...args)),
    hasShares: async (...args) => permuted(await honest.hasShares(...args)),
    markShares: async (...args) => permuted(await honest.markShares(...args)),
    readRegisters: async (...args) => permuted(await honest.readRegisters(...args)),
    proposeRegisters: async (...args) => permuted(await honest.proposeRegisters(...args)),
  }),
  /** Claims to hold what it has not, and takes nothing. */
  "claims all": () => ({
    hasShares: async (ids) => ids.map(() => [...allIndices]),
    markShares: async (ids) => ids.map(() => ({ ok: true, held: [...allIndices] })),
    putShares: async (shares) => shares.map(() => ({ ok: true, existed: true })),
    getShares: async (queries) => queries.map(() => undefined),
    getBlocks: async (queries) => queries.map(() => undefined),
  }),
  /** Claims the share that the next server holds, to have it removed there. */
  "claims another's share": (honest) => ({
    hasShares: async (...args) => (await honest.hasShares(...args)).map((held) => held.map((index) => index + 1)),
    markShares: async (...args) =>
      (await honest.markShares(...args)).map((outcome) =>
        outcome.ok ? { ok: true, held: outcome.held.map((index) => index + 1) } : outcome,
      ),
  }),
  /** Denies what it has. */
  "denies all": () => ({
    hasShares: async (ids) => ids.map(() => []),
    markShares: async (ids) => ids.map(() => ({ ok: true, held: [] })),
    getShares: async (queries) => queries.map(() => undefined),
    getBlocks: async (queries) => queries.map(() => undefined),
    listMarks: async () => [],
    listRegisters: async () => [],
    usage: async () => ({ usedBytes: 0, shareCount: 0 }),
  }),
  /** Lists without end what nobody stored, as old as can be. */
  "invents shares": () => ({
    listMarks: async ({ after, limit }) => inventedPage(after?.id, limit),
    markShares: async (ids) => ids.map((id) => ({ ok: true, held: [id[0]!, id[1]!, 255] })),
    hasShares: async (ids) => ids.map((id) => [id[0]!, id[1]!, 255]),
    usage: async () => ({ usedBytes: Number.MAX_SAFE_INTEGER, shareCount: Number.MAX_SAFE_INTEGER }),
  }),
  /** Says that all is stored, and forgets it. */
  "accepts and forgets": () => ({
    putShares: async (shares) => shares.map(() => ({ ok: true, existed: false })),
    getShares: async (queries) => queries.map(() => undefined),
    getBlocks: async (queries) => queries.map(() => undefined),
    hasShares: async (ids) => ids.map(() => []),
    markShares: async (ids) => ids.map(() => ({ ok: true, held: [0] })),
    listMarks: async () => [],
    proposeRegisters: async (values) => values.map(() => ({ accepted: true, vouches: true })),
    keptValues: async () => [],
    readRegisters: async (ids) => ids.map(() => undefined),
  }),
  /** Has what it was told to store, and says that it marks nothing of it. */
  "marks nothing": () => ({
    markShares: async (ids) => ids.map(() => ({ ok: true, held: [] })),
  }),
  /** Says again and again that what was stored is gone. */
  "loses marks": () => ({
    proposeRegisters: async (values) =>
      values.map(() => ({ accepted: false, marksGone: true, message: "the marks are gone" })),
  }),
  /** Takes every value, and gives its word for nothing. */
  "never vouches": (honest) => ({
    proposeRegisters: async (...args) =>
      (await honest.proposeRegisters(...args)).map((one) => (one.accepted ? { ...one, vouches: false } : one)),
  }),
  refuses: () => ({
    putShares: async (shares) => shares.map(() => ({ ok: false, code: "full", message: "no room" })),
    proposeRegisters: async (values) => values.map(() => ({ accepted: false, message: "no" })),
  }),
  fails: instead(async () => {
    throw new HoldfastError("ERR_REMOTE", "The server failed.")
  }),
  "cannot be reached": instead(async () => {
    throw new HoldfastError("ERR_SERVER_UNREACHABLE", "The server cannot be reached.")
  }),
  slow: instead(async (call, _honest, { clock, slowMs }) => {
    await clock.sleep(slowMs)
    return call()
  }),
} satisfies Record<string, LieMaker>
