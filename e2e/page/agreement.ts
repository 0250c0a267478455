/** Runs in a page: the frozen vectors and the golden volumes, with what a browser offers. */
import { BufferPool, decodeCbor, encodeCbor, fromHex, HoldfastError, toHex } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { checkCryptoVectors, checkErasureVectors, checkSignatureVectors } from "@holdfast/core/vectors"
import { webCrypto, webEnv } from "@holdfast/core/web"
import { type Backend, type ChunkId, decodeInvite } from "@holdfast/protocol"
import {
  type Chunk2Vectors,
  checkAccountList3Vectors,
  checkAccountListVectors,
  checkAccountVectors,
  checkBoundVectors,
  checkCapabilityVectors,
  checkChunkVectors,
  checkParityVectors,
  checkRangeVectors,
  checkRecoveryVectors,
  checkRegisterVectors,
  checkTransportVectors,
  checkVolumeVectors,
  type ParityVectors,
} from "@holdfast/protocol/vectors"
import { openChunk, rankServers } from "@holdfast/store"
import { createTreeIo, listDirectory, type Reference, readFile, type TreeIo } from "@holdfast/tree"
import { type Found, readGolden } from "../golden.ts"

/** What the page is asked to read, as the test hands it in; shares and registers in base64. */
export interface Golden {
  readonly cap: string
  readonly servers: readonly { readonly shares: readonly string[]; readonly registers: readonly string[] }[]
}

type Check = (vectors: never) => Promise<void> | void

/** By the names of the files in interop/vectors. */
const checks: Readonly<Record<string, Check>> = {
  account: (vectors) => checkAccountVectors(webCrypto, vectors),
  "account-list": (vectors) => checkAccountListVectors(webCrypto, vectors),
  "account-list-3": (vectors) => checkAccountList3Vectors(webCrypto, vectors),
  capability: (vectors) => checkCapabilityVectors(webCrypto, vectors),
  "cbor-text": checkText,
  chunk: (vectors) => checkChunkVectors(webCrypto, vectors),
  "chunk-2": checkChunk2,
  "chunk-parity": checkParity,
  crypto: (vectors) => checkCryptoVectors(webCrypto, vectors),
  erasure: async (vectors) => checkErasureVectors(await createErasure(), vectors),
  invite: checkInvitations,
  "invite-2": checkInvitations,
  placement: checkPlacement,
  "placement-candidates": checkPlacement,
  "recovery-kit": (vectors) => checkRecoveryVectors(webCrypto, vectors),
  "recovery-kit-2": (vectors) => checkRecoveryVectors(webCrypto, vectors),
  register: (vectors) => checkRegisterVectors(webCrypto, vectors),
  "register-4": (vectors) => checkBoundVectors(webCrypto, vectors),
  "register-lineage": (vectors) => checkRegisterVectors(webCrypto, vectors),
  signature: (vectors) => checkSignatureVectors(webCrypto, vectors),
  transport: checkTransportVectors,
  tree: checkTrees,
  "tree-patched": checkTrees,
  volume: (vectors) => checkVolumeVectors(webCrypto, vectors),
  "volume-2": (vectors) => checkVolumeVectors(webCrypto, vectors),
  "volume-3": (vectors) => checkVolumeVectors(webCrypto, vectors),
  "volume-hosts": (vectors) => checkVolumeVectors(webCrypto, vectors),
}

interface PlacementVectors {
  readonly rankings: readonly {
    readonly servers: readonly { readonly id: string; readonly weight: number; readonly domains?: readonly string[] }[]
    readonly chunk: string
    readonly order: readonly string[]
  }[]
}

function checkPlacement({ rankings }: PlacementVectors): void {
  for (const { servers, chunk, order } of rankings) {
    const placed = servers.map(({ id, ...rest }) => ({ backend: { id } as Backend, ...rest }))
    const ranked = rankServers(placed, fromHex(chunk) as ChunkId).map(({ id }) => id)
    if (ranked.join() !== order.join()) throw new Error(`placement of ${chunk}: ${ranked} in place of ${order}`)
  }
}

async function checkChunk2(vectors: Chunk2Vectors): Promise<void> {
  await checkChunkVectors(webCrypto, vectors, 2)
  await checkRangeVectors({ crypto: webCrypto, erasure: await createErasure() }, vectors)
}

async function checkParity(vectors: ParityVectors): Promise<void> {
  const deps = { crypto: webCrypto, erasure: await createErasure(), buffers: new BufferPool({ maxIdleBytes: 0 }) }
  await checkParityVectors(deps, vectors, (key, shares) => openChunk(deps, shares, key))
}

function checkText({
  good,
  bad,
}: {
  good: { text: string; bytes: string }[]
  bad: { bytes: string; error: string }[]
}) {
  for (const { text, bytes } of good)
    if (toHex(encodeCbor(text)) !== bytes || decodeCbor(fromHex(bytes), "text") !== text)
      throw new Error(`vector text ${bytes}`)
  for (const { bytes, error } of bad) refused(bytes, error, () => decodeCbor(fromHex(bytes), "text"))
}

function checkInvitations({ good, bad }: { good: { text: string; address: string }[]; bad: { text: string }[] }) {
  for (const { text, address } of good)
    if (decodeInvite(text).address !== address) throw new Error("vector of an invitation")
  for (const { text } of bad) refused(text, undefined, () => decodeInvite(text))
}

interface TreeVector {
  readonly name: string
  readonly kind: "directory" | "file"
  readonly root: string
  readonly size?: number
  /** All bytes of a file, in hexadecimal. */
  readonly content?: string
  readonly names: readonly string[]
  readonly chunks: readonly { readonly id: string; readonly plaintext: string }[]
  readonly error?: string
}

async function checkTrees({ good, bad }: { good: TreeVector[]; bad: TreeVector[] }): Promise<void> {
  for (const vector of [...good, ...bad]) {
    const found = await lookAt(vector).catch((error: unknown) => {
      if (error instanceof HoldfastError) return error.code
      throw error
    })
    const expected = vector.error ?? (vector.kind === "file" ? `${vector.size}` : vector.names.join(" "))
    if (found !== expected) throw new Error(`vector ${vector.name}: ${found}`)
  }
}

/** The names in a directory, or the length of a file. */
async function lookAt({ name, kind, root, size = 0, content, chunks }: TreeVector): Promise<string> {
  const held = new Map(chunks.map(({ id, plaintext }) => [id, fromHex(plaintext)]))
  const store = { getChunk: async ({ id }: { id: Uint8Array }) => held.get(toHex(id)) }
  const io: TreeIo = createTreeIo({ chunks: store as never, env: webEnv })
  const [id, key, offset, length] = decodeCbor(fromHex(root), "reference") as [Uint8Array, Uint8Array, number, number]
  const reference: Reference = { chunk: { id, key }, offset, length }
  const names: string[] = []
  let bytes = ""
  if (kind === "directory") for await (const entry of listDirectory(io, reference)) names.push(entry.name)
  else for await (const piece of readFile(io, { form: "manifest", size, reference })) bytes += toHex(piece)
  if (content !== undefined && bytes !== content) throw new Error(`vector ${name}: other content`)
  return kind === "directory" ? names.join(" ") : `${bytes.length / 2}`
}

function refused(what: string, code: string | undefined, attempt: () => unknown): void {
  try {
    attempt()
  } catch (error) {
    if (error instanceof HoldfastError && (code === undefined || error.code === code)) return
    throw error
  }
  throw new Error(`vector ${what} was taken for good`)
}

/** Checks one file of vectors; false when this page has no reader for it. */
async function agreesWith(name: string, vectors: unknown): Promise<boolean> {
  await checks[name]?.(vectors as never)
  return name in checks
}

const bytesOf = (text: string) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))

function findIn({ cap, servers }: Golden): Promise<Found[]> {
  const held = servers.map(({ shares, registers }) => ({
    shares: shares.map(bytesOf),
    registers: registers.map(bytesOf),
  }))
  return readGolden(webEnv, cap, held)
}

Object.assign(globalThis, { agreesWith, findIn })
