/** Runs in a page: the frozen vectors and the golden volumes, with what a browser offers. */
import { BufferPool, decodeCbor, encodeCbor, fromHex, HoldfastError, toHex } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { checkCryptoVectors, checkErasureVectors } from "@holdfast/core/vectors"
import { webCrypto, webEnv } from "@holdfast/core/web"
import { decodeInvite } from "@holdfast/protocol"
import {
  type Chunk2Vectors,
  checkAccountListVectors,
  checkAccountVectors,
  checkBoundVectors,
  checkCapabilityVectors,
  checkChunkVectors,
  checkParityVectors,
  checkRangeVectors,
  checkRecoveryVectors,
  checkRegisterVectors,
  checkVolumeVectors,
  type ParityVectors,
} from "@holdfast/protocol/vectors"
import { openChunk } from "@holdfast/store"
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
  capability: (vectors) => checkCapabilityVectors(webCrypto, vectors),
  "cbor-text": checkText,
  chunk: (vectors) => checkChunkVectors(webCrypto, vectors),
  "chunk-2": checkChunk2,
  "chunk-parity": checkParity,
  crypto: (vectors) => checkCryptoVectors(webCrypto, vectors),
  erasure: async (vectors) => checkErasureVectors(await createErasure(), vectors),
  invite: checkInvitations,
  "recovery-kit": (vectors) => checkRecoveryVectors(webCrypto, vectors),
  "recovery-kit-2": (vectors) => checkRecoveryVectors(webCrypto, vectors),
  register: (vectors) => checkRegisterVectors(webCrypto, vectors),
  "register-4": (vectors) => checkBoundVectors(webCrypto, vectors),
  "register-lineage": (vectors) => checkRegisterVectors(webCrypto, vectors),
  volume: (vectors) => checkVolumeVectors(webCrypto, vectors),
  "volume-2": (vectors) => checkVolumeVectors(webCrypto, vectors),
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
