/**
 * Readers that cannot be: each hears one quorum of the honest places at this very moment, and nothing that it does lasts. So
 * every quorum shows what was acknowledged, not only those that a client happens to hear.
 */
import { HoldfastError, toHex } from "@holdfast/core"
import { type Backend, decodeShare } from "@holdfast/protocol"
import { createMemorySeen, createRegisterStore, createStore, quorumOf, type Store } from "@holdfast/store"
import { type RootContent, Tree } from "@holdfast/tree"
import { directBackend, type OracleParts } from "./oracle.ts"
import type { Random } from "./random.ts"

/** Reads through one quorum after another. */
export class Probe {
  readonly #parts: OracleParts & { readonly mode: "crash" | "byzantine" }
  readonly #backends: readonly Backend[]
  readonly #store: Store
  /** What readers store, by place and chunk. */
  readonly #scratch: Map<string, Uint8Array[]>

  private constructor(
    parts: OracleParts & { readonly mode: "crash" | "byzantine" },
    backends: readonly Backend[],
    store: Store,
    scratch: Map<string, Uint8Array[]>,
  ) {
    this.#parts = parts
    this.#backends = backends
    this.#store = store
    this.#scratch = scratch
  }

  /** A probe over `parts`. */
  static async create(parts: OracleParts & { readonly mode: "crash" | "byzantine" }): Promise<Probe> {
    const { env, coding, mode: registerMode } = parts
    const scratch = new Map<string, Uint8Array[]>()
    const honest = parts.servers.filter(({ id }) => !parts.faulty.has(id))
    const backends = honest.map((server) => withScratch(directBackend(server), scratch))
    const servers = backends.map((backend) => ({ backend, weight: 1 }))
    const seen = createMemorySeen()
    return new Probe(parts, backends, await createStore({ env, servers, coding, seen, registerMode }), scratch)
  }

  /** What a new reader is shown that hears some quorum. */
  async read(random: Random): Promise<{ readonly tree: Tree; readonly content: RootContent; readonly heard: string }> {
    const { env, keys, mode, servers } = this.#parts
    this.#scratch.clear()
    const heard = random.some(this.#backends, quorumOf(servers.length, mode)).map(({ id }) => id)
    const backends = servers.map(({ id }) => {
      const backend = this.#backends.find((known) => known.id === id)
      return heard.includes(id) && backend ? backend : silent(id)
    })
    const registers = createRegisterStore({ env, backends, mode, seen: createMemorySeen(), chunks: this.#store.chunks })
    const tree = new Tree({ chunks: this.#store.chunks, registers, env, keys })
    return { tree, content: await tree.content(), heard: heard.join(" ") }
  }
}

/** Takes everything and changes nothing. */
function withScratch(backend: Backend, scratch: Map<string, Uint8Array[]>): Backend {
  const heldOf = (id: Uint8Array) => scratch.get(`${backend.id} ${toHex(id)}`) ?? []
  return {
    ...backend,
    putShares: async (shares) =>
      shares.map((share) => {
        const { id } = decodeShare(share)
        scratch.set(`${backend.id} ${toHex(id)}`, [...heldOf(id), share.slice()])
        return { ok: true, existed: false }
      }),
    hasShares: async (ids) => {
      const stored = await backend.hasShares(ids)
      return ids.map((id, i) => [...stored[i]!, ...heldOf(id).map((share) => share[4]!)])
    },
    getShares: async (queries) => {
      const stored = await backend.getShares(queries)
      return queries.map(
        ({ id, index }, i) => stored[i] ?? heldOf(id).find((share) => index === undefined || share[4] === index),
      )
    },
    markShares: async (ids) => {
      const held = await backend.hasShares(ids)
      return ids.map((id, i) => ({ ok: true, held: [...held[i]!, ...heldOf(id).map((share) => share[4]!)] }))
    },
    confirmMarks: async () => "held",
    proposeRegisters: async (values) => values.map(() => ({ accepted: true, vouches: true })),
  }
}

function silent(id: string): Backend {
  const fail = async () => {
    throw new HoldfastError("ERR_SERVER_UNREACHABLE", `${id} is not heard.`)
  }
  return {
    ...{
      id,
      putShares: fail,
      markShares: fail,
      getShares: fail,
      getBlocks: fail,
      hasShares: fail,
      listMarks: fail,
      unmark: fail,
    },
    ...{
      listRegisters: fail,
      collectToken: fail,
      readRegisters: fail,
      keptValues: fail,
      confirmMarks: fail,
      proposeRegisters: fail,
    },
    ...{ usage: fail, close: async () => undefined },
  }
}
