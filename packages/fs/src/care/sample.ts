/** Blocks by chance instead of everything, and what follows from them. */
import { type CryptoProvider, mapPool } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import type { BlockSample, Store } from "@holdfast/store"
import type { Footing } from "./footing.ts"

/** Chunks kept to choose among; of more, so many by chance. */
const mostKept = 65_536
const atOnce = 16

/** How blocks are sampled. */
export interface SampleOptions {
  /** How many blocks are asked for. */
  readonly count: number
  /** Hears of each block as it came. */
  readonly onBlock?: () => void
}

/** What samples tell. */
export interface SampleReport {
  readonly samples: readonly BlockSample[]
  readonly good: number
  /** The part of all blocks, 0 to 1, less than which is lost or wrong with a certainty of 99 %; undefined when any was bad. */
  readonly lostAtMost: number | undefined
}

/** Asks for blocks of a footing's chunks, each by chance. */
export async function sampleHealth(
  { crypto, store }: { readonly crypto: CryptoProvider; readonly store: Pick<Store, "sampleBlock"> },
  { chunks }: Pick<Footing, "chunks">,
  { count, onBlock }: SampleOptions,
): Promise<SampleReport> {
  const random = (below: number) => Math.floor(unit(crypto.random(6)) * below)
  const kept = await choose(chunks, random)
  const samples: BlockSample[] = []
  const chosen = kept.length === 0 ? [] : Array.from({ length: count }, () => kept[random(kept.length)]!)
  await mapPool(chosen, atOnce, async (id) => {
    samples.push(await store.sampleBlock(id))
    onBlock?.()
  })
  const good = samples.filter(({ state }) => state === "good").length
  // If a part p of blocks were lost, m good samples would have the chance (1 - p)^m.
  const lostAtMost = good === samples.length && good > 0 ? 1 - 0.01 ** (1 / good) : undefined
  return { samples, good, lostAtMost }
}

/** The ids, or so many of them that each has the same chance (algorithm R). */
async function choose(chunks: Footing["chunks"], random: (below: number) => number): Promise<ChunkId[]> {
  const kept: ChunkId[] = []
  let passed = 0
  for await (const { id } of chunks) {
    passed++
    const place = kept.length < mostKept ? kept.length : random(passed)
    if (place < mostKept) kept[place] = id
  }
  return kept
}

function unit(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0) / 2 ** 48
}
