/** Vectors of chunks whose shares do not all follow from the same data, as only a malicious writer makes them. */
import { BufferPool, toHex } from "@holdfast/core"
import { createErasure } from "@holdfast/core/erasure"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { type ChunkVersion, type Coding, verifyShare } from "@holdfast/protocol"
import type { ParityVector, ParityVectors } from "@holdfast/protocol/vectors"
import { openChunk } from "@holdfast/store"
import { makeTwoFaced, withSameTag } from "@holdfast/store/testing"

/** Which plaintext each share is of. */
interface Plan {
  readonly name: string
  readonly coding: Coding
  readonly faces: readonly number[]
}

const good: readonly Plan[] = [
  { name: "all of one plaintext, 3 of 5", coding: { k: 3, n: 5 }, faces: [0, 0, 0, 0, 0] },
  { name: "all of one plaintext, 1 of 3", coding: { k: 1, n: 3 }, faces: [0, 0, 0] },
  { name: "all of one plaintext, 3 of 3", coding: { k: 3, n: 3 }, faces: [0, 0, 0] },
]
const bad: readonly Plan[] = [
  { name: "two plaintexts with a slice and the tag in common, 3 of 5", coding: { k: 3, n: 5 }, faces: [0, 0, 0, 1, 1] },
  { name: "two plaintexts in disjoint halves, 2 of 4", coding: { k: 2, n: 4 }, faces: [0, 0, 2, 2] },
  { name: "a plaintext for each share, 1 of 3", coding: { k: 1, n: 3 }, faces: [0, 1, 2] },
  { name: "one parity share of another plaintext, 3 of 5", coding: { k: 3, n: 5 }, faces: [0, 0, 0, 0, 2] },
  { name: "two plaintexts alternating, 2 of 4", coding: { k: 2, n: 4 }, faces: [0, 0, 1, 0] },
]

/** All vectors. */
export async function parityVectors(): Promise<ParityVectors> {
  const deps = { crypto, erasure: await createErasure(), buffers: new BufferPool({ maxIdleBytes: 0 }) }
  const plaintext = new Uint8Array(112).map((_, i) => i)
  const plaintexts = [plaintext, await withSameTag(crypto, plaintext), plaintext.map((byte) => byte ^ 0x55)]
  const make = async ({ name, coding, faces }: Plan, version: ChunkVersion): Promise<ParityVector> => {
    const chunk = await makeTwoFaced(deps, coding, plaintexts, faces, version)
    const shares = await Promise.all(chunk.shares.map((share) => verifyShare(crypto, share)))
    const [opens, refused]: [number[][], number[][]] = [[], []]
    for (const indices of subsets(coding.n, coding.k)) {
      const chosen = indices.map((i) => shares[i]!)
      const opened = await openChunk(deps, chosen, chunk.key).then(
        () => true,
        () => false,
      )
      ;(opened ? opens : refused).push(indices)
    }
    const { id, key } = chunk
    const hex = { id: toHex(id), key: toHex(key), plaintext: toHex(plaintext), shares: chunk.shares.map(toHex) }
    return { name: `version ${version}: ${name}`, ...hex, opens, refused }
  }
  const error = "ERR_INCONSISTENT" as const
  const both = async (plans: readonly Plan[]) =>
    Promise.all(([1, 2] as const).flatMap((version) => plans.map((plan) => make(plan, version))))
  return { good: await both(good), bad: (await both(bad)).map((vector) => ({ ...vector, error })) }
}

/** All sets of k indices below n. */
function subsets(n: number, k: number, from = 0): number[][] {
  if (k === 0) return [[]]
  return Array.from({ length: n - from }, (_, i) => from + i).flatMap((first) =>
    subsets(n, k - 1, first + 1).map((rest) => [first, ...rest]),
  )
}
