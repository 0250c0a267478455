/** `check --sample`: blocks by chance instead of everything, and what follows from them. */
import type { Session } from "@holdfast/client/volumes"
import { toHex } from "@holdfast/core"
import { type Footing, type SampleReport, sampleHealth } from "@holdfast/fs/care"
import type { Context } from "../../context.ts"
import { exitCodes } from "../../exit-codes.ts"
import { plural } from "../../words.ts"

/** Asks for `count` blocks of a footing, each by chance, and says what that tells of all. */
export async function audit(context: Context, session: Session, footing: Footing, count: number): Promise<void> {
  const progress = context.progress("audit", undefined)
  const { env, store } = session
  const options = { count, onBlock: () => progress.add(1) }
  const told = await sampleHealth({ crypto: env.crypto, store }, footing, options).finally(() => progress.close())
  conclude(context, told)
}

function conclude(context: Context, { samples, good, lostAtMost }: SampleReport): void {
  const bad = samples.filter(({ state }) => state !== "good")
  const lines = [`${plural(samples.length, "block")} asked for by chance: ${good} good, ${bad.length} not.`]
  if (samples.length === 0) lines[0] = "It stands on no chunk of its own: nothing to ask for."
  if (lostAtMost !== undefined)
    lines.push(`With a certainty of 99 % less than ${(100 * lostAtMost).toFixed(2)} % are lost or wrong.`)
  for (const { id, index, server, state } of bad)
    lines.push(`${state}: share ${index ?? "?"} of chunk ${toHex(id).slice(0, 16)}${server ? ` at ${server}` : ""}`)
  const faults = bad.map(({ id, ...rest }) => ({ chunk: toHex(id), ...rest }))
  context.output({ sampled: samples.length, good, faults, lostAtMost: lostAtMost ?? null, ok: bad.length === 0 }, lines)
  if (bad.length > 0) process.exitCode = exitCodes.damaged
}
