/** Runs in a page: the frozen vectors and the golden volume, with what a browser offers. */
import { createErasure } from "@holdfast/core/erasure"
import {
  type CryptoVectors,
  checkCryptoVectors,
  checkErasureVectors,
  type ErasureVectors,
} from "@holdfast/core/vectors"
import { webCrypto, webEnv } from "@holdfast/core/web"
import { decodeInvite } from "@holdfast/protocol"
import {
  type CapabilityVectors,
  type Chunk2Vectors,
  type ChunkVectors,
  checkCapabilityVectors,
  checkChunkVectors,
  checkRangeVectors,
  checkRecoveryVectors,
  checkRegisterVectors,
  type RecoveryVectors,
  type RegisterVectors,
} from "@holdfast/protocol/vectors"
import { type Found, readGolden } from "../golden.ts"

/** The files of interop, as the test hands them in; shares and registers in base64. */
export interface Files {
  readonly crypto: CryptoVectors
  readonly erasure: ErasureVectors
  readonly chunk: ChunkVectors
  readonly chunk2: Chunk2Vectors
  readonly register: RegisterVectors
  readonly capability: CapabilityVectors
  readonly recovery: RecoveryVectors
  readonly invite: { readonly good: readonly { readonly text: string }[] }
  readonly cap: string
  readonly servers: readonly { readonly shares: readonly string[]; readonly registers: readonly string[] }[]
}

const bytesOf = (text: string) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))

async function agreement(files: Files): Promise<Found[]> {
  await checkCryptoVectors(webCrypto, files.crypto)
  checkErasureVectors(await createErasure(), files.erasure)
  await checkChunkVectors(webCrypto, files.chunk)
  await checkChunkVectors(webCrypto, files.chunk2, 2)
  const erasure = await createErasure()
  await checkRangeVectors({ crypto: webCrypto, erasure }, files.chunk2)
  await checkRegisterVectors(webCrypto, files.register)
  await checkCapabilityVectors(webCrypto, files.capability)
  await checkRecoveryVectors(webCrypto, files.recovery)
  for (const { text } of files.invite.good) decodeInvite(text)
  const held = files.servers.map(({ shares, registers }) => ({
    shares: shares.map(bytesOf),
    registers: registers.map(bytesOf),
  }))
  return readGolden(webEnv, files.cap, held)
}

Object.assign(globalThis, { agreement })
