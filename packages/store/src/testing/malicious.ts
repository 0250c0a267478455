/**
 * A storage service that is wholly in the wrong hands, for tests: it sees all that every client of every tenant stores, keeps
 * it for ever, and answers as its attack pleases. What it cannot do is what needs a key.
 */
import { type CryptoProvider, toHex } from "@holdfast/core"
import { type Backend, type ChunkId, decodeRegisterValue, decodeShare, registerIdOf } from "@holdfast/protocol"

/** All that the service ever saw, in the order it came. */
export interface Recorded {
  /** Each share of each chunk, by index. */
  readonly chunks: ReadonlyMap<string, ReadonlyMap<number, Uint8Array>>
  /** Every value of each register. */
  readonly registers: ReadonlyMap<string, readonly Uint8Array[]>
}

/** What the server at `position` does other than the honest one behind it. */
export type Attack = (honest: Backend, record: Recorded, position: number) => Partial<Backend>

/** The service. */
export interface MaliciousService extends Recorded {
  /** Its servers, as all clients see them. */
  readonly backends: readonly Backend[]
  /** What it does from now on; honest at first, and again with undefined. */
  attack: Attack | undefined
}

/** Takes over `honest` servers. */
export function createMaliciousService(honest: readonly Backend[], crypto: CryptoProvider): MaliciousService {
  const chunks = new Map<string, Map<number, Uint8Array>>()
  const registers = new Map<string, Uint8Array[]>()
  const keepShare = (bytes: Uint8Array) => {
    const { id, index } = decodeShare(bytes)
    const shares = chunks.get(toHex(id)) ?? new Map<number, Uint8Array>()
    chunks.set(toHex(id), shares.set(index, Uint8Array.from(bytes)))
  }
  const keepValue = async (bytes: Uint8Array) => {
    const key = toHex(registerIdOf((await decodeRegisterValue(crypto, bytes)).publicKey))
    const values = registers.get(key) ?? []
    registers.set(key, values)
    if (!values.some((known) => toHex(known) === toHex(bytes))) values.push(Uint8Array.from(bytes))
  }
  const faceOf = (backend: Backend, position: number): Backend => {
    const now = (): Backend => ({ ...backend, ...service.attack?.(backend, service, position) })
    return {
      id: backend.id,
      async putShares(shares, options) {
        for (const share of shares) keepShare(share)
        return now().putShares(shares, options)
      },
      getShares: async (...args) => now().getShares(...args),
      getBlocks: async (...args) => now().getBlocks(...args),
      hasShares: async (...args) => now().hasShares(...args),
      markShares: async (...args) => now().markShares(...args),
      listMarks: async (...args) => now().listMarks(...args),
      listRegisters: async (...args) => now().listRegisters(...args),
      collectToken: async (...args) => now().collectToken(...args),
      unmark: async (...args) => now().unmark(...args),
      readRegisters: async (...args) => now().readRegisters(...args),
      keptValues: async (...args) => now().keptValues(...args),
      confirmMarks: async (...args) => now().confirmMarks(...args),
      async proposeRegisters(values, options) {
        for (const value of values) await keepValue(value)
        return now().proposeRegisters(values, options)
      },
      usage: async (...args) => now().usage(...args),
      close: async () => undefined,
    }
  }
  const service: MaliciousService = { chunks, registers, backends: honest.map(faceOf), attack: undefined }
  return service
}

/** Answers each query for a share with what `serve` makes of the chunk asked for, the index, and the honest share. */
export function sharesInstead(
  serve: (id: string, index: number, honest: Uint8Array | undefined, record: Recorded) => Uint8Array | undefined,
): Attack {
  return (backend, record, position) => ({
    async getShares(queries, options) {
      const honest = await backend.getShares(queries, options)
      return queries.map(({ id, index }, i) => {
        const share = honest[i]
        const given = share && decodeShare(share).index
        return serve(toHex(id), index ?? given ?? position, share && Uint8Array.from(share), record)
      })
    },
  })
}

/** Answers each question for a register with what `serve` makes of its id and of the honest value; takes no new ones. */
export function valuesInstead(
  serve: (id: string, honest: Uint8Array | undefined, record: Recorded, position: number) => Uint8Array | undefined,
): Attack {
  return (backend, record, position) => ({
    async readRegisters(ids, options) {
      const honest = await backend.readRegisters(ids, options)
      return ids.map((id, i) => serve(toHex(id), honest[i], record, position))
    },
    proposeRegisters: async (values) => values.map(() => ({ accepted: true, vouches: true })),
  })
}

/** Both at once. */
export function together(...attacks: readonly Attack[]): Attack {
  return (...args) => Object.assign({}, ...attacks.map((attack) => attack(...args)))
}

/** Ids of chunks in hexadecimal as the store has them. */
export function chunkIds(record: Recorded): ChunkId[] {
  return [...record.chunks.values()].map((shares) => decodeShare(shares.values().next().value!).id)
}
