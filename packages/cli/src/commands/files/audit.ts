/** `check --sample`: blocks by chance instead of everything, and what follows from them. */
import type { Session } from "@holdfast/client/volumes"
import { mapPool, toHex } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import type { BlockSample } from "@holdfast/store"
import type { Context } from "../../context.ts"
import { exitCodes } from "../../exit-codes.ts"
import { plural } from "../../words.ts"

/** Chunks kept to choose among; of more, so many by chance. */
const mostKept = 65_536
const atOnce = 16

/** Asks for `count` blocks of the chunks given, each by chance, and says what that tells of all. */
export async function audit(
  context: Context,
  session: Session,
  ids: AsyncIterable<ChunkId>,
  count: number,
): Promise<void> {
  const random = (below: number) => Math.floor(unit(session.env.crypto.random(6)) * below)
  const kept = await choose(ids, random)
  const samples: BlockSample[] = []
  const progress = context.progress("audit", undefined)
  try {
    const chosen = kept.length === 0 ? [] : Array.from({ length: count }, () => kept[random(kept.length)]!)
    await mapPool(chosen, atOnce, async (id) => {
      samples.push(await session.store.sampleBlock(id))
      progress.add(1)
    })
  } finally {
    progress.close()
  }
  conclude(context, samples)
}

/** The ids, or so many of them that each has the same chance (algorithm R). */
async function choose(ids: AsyncIterable<ChunkId>, random: (below: number) => number): Promise<ChunkId[]> {
  const kept: ChunkId[] = []
  let passed = 0
  for await (const id of ids) {
    passed++
    const place = kept.length < mostKept ? kept.length : random(passed)
    if (place < mostKept) kept[place] = id
  }
  return kept
}

function conclude(context: Context, samples: readonly BlockSample[]): void {
  const bad = samples.filter(({ state }) => state !== "good")
  const good = samples.length - bad.length
  const lines = [`${plural(samples.length, "block")} asked for by chance: ${good} good, ${bad.length} not.`]
  if (samples.length === 0) lines[0] = "It stands on no chunk of its own: nothing to ask for."
  // If a part p of blocks were lost, m good samples would have the chance (1 - p)^m.
  const bound = bad.length === 0 && good > 0 ? 1 - 0.01 ** (1 / good) : undefined
  if (bound !== undefined)
    lines.push(`With a certainty of 99 % less than ${(100 * bound).toFixed(2)} % are lost or wrong.`)
  for (const { id, index, server, state } of bad)
    lines.push(`${state}: share ${index ?? "?"} of chunk ${toHex(id).slice(0, 16)}${server ? ` at ${server}` : ""}`)
  const faults = bad.map(({ id, ...rest }) => ({ chunk: toHex(id), ...rest }))
  context.output({ sampled: samples.length, good, faults, lostAtMost: bound ?? null, ok: bad.length === 0 }, lines)
  if (bad.length > 0) process.exitCode = exitCodes.damaged
}

function unit(bytes: Uint8Array): number {
  return bytes.reduce((sum, byte) => sum * 256 + byte, 0) / 2 ** 48
}
