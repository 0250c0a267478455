/** What a round of `maintain` says: lines for people, a value for programs. */
import { isoTime } from "@holdfast/core"
import type { RoundReport, TreeReport, VolumeReport } from "@holdfast/fs/care"
import { tellAnswers } from "@holdfast/store"
import { exitCodeOf, exitCodes } from "../exit-codes.ts"
import { sizeText } from "../progress.ts"
import { plural } from "../words.ts"

/** Shows a place as people call it. */
type NameOf = (id: string) => string

/** The value of a round; documented in docs/guides/command-line.md. */
export function roundValue({ startedMs, endedMs, trees, volumes, isCutShort }: RoundReport): object {
  return {
    event: "round",
    started: isoTime(startedMs),
    ended: isoTime(endedMs),
    ok: isWellDone({ trees, volumes }),
    isCutShort,
    trees: trees.map(({ error, verifiedMs, ...report }) => ({
      ...report,
      verified: timeOf(verifiedMs),
      error: errorOf(error),
    })),
    volumes: volumes.map(({ error, away, collected, ...report }) => ({
      ...report,
      away: away.map(({ server, sinceMs }) => ({ server, since: isoTime(sinceMs) })),
      collected: collected ?? null,
      error: errorOf(error),
    })),
  }
}

/** The same for people: what was done, what is wrong, and a word on each tree. */
export function roundLines({ trees, volumes, isCutShort }: RoundReport, nameOf: NameOf): string[] {
  const lines = trees.flatMap((tree) => treeLines(tree, nameOf))
  for (const volume of volumes) lines.push(...volumeLines(volume, nameOf))
  if (isCutShort) lines.push("Not all that is due was done; the next round goes on there.")
  return lines
}

/** True when all that was looked after is whole, and nothing failed. */
export function isWellDone({ trees, volumes }: Pick<RoundReport, "trees" | "volumes">): boolean {
  return trees.every(isWell) && volumes.every(({ error }) => !error)
}

/** What the command ends with after its only round. */
export function exitCodeOfRound({ trees, volumes }: RoundReport): number {
  if (trees.some(({ below, broken }) => below + broken > 0)) return exitCodes.damaged
  const error = [...trees, ...volumes].find((one) => one.error)?.error
  if (error) return exitCodeOf(error)
  return trees.every(isWell) ? exitCodes.ok : exitCodes.damaged
}

function isWell({ below, broken, registers, error }: TreeReport): boolean {
  return below + broken + registers.length === 0 && !error
}

function treeLines(report: TreeReport, nameOf: NameOf): string[] {
  const { tree, suspects, sample, sweep, verify, rebalance, mended, below, broken, registers, error } = report
  const name = tree.endsWith(":") ? tree : `${tree}:`
  if (error) return [`${tree} was not looked after: ${error.message}`]
  const done: string[] = []
  if (suspects > 0) done.push(`${plural(suspects, "suspect chunk")} verified`)
  if (sample) done.push(`${sample.good} of ${plural(sample.asked, "block")} by chance good`)
  if (sweep) done.push(`${plural(sweep.chunks, "chunk")} looked for${sweep.isDone ? "" : ", not all yet"}`)
  if (verify) done.push(`${plural(verify.chunks, "chunk")} verified (${percent(verify.part)} of this full check)`)
  if (rebalance) done.push(`${plural(rebalance.moved, "share")} moved, ${rebalance.released} freed`)
  if (mended > 0) done.push(`${plural(mended, "share")} put right`)
  const lines = [`${name} ${below + broken === 0 ? "all well" : "NOT WELL"}: ${done.join("; ") || "nothing was due"}.`]
  if (below > 0) lines.push(`  ${plural(below, "chunk")} lack${below === 1 ? "s" : ""} shares still.`)
  if (broken > 0)
    lines.push(
      `  ${plural(broken, "chunk")} cannot be read now, or ${broken === 1 ? "contradicts itself" : "contradict themselves"}: \`holdfast check --deep ${tree.endsWith(":") ? tree : "PLACE"}\` says which files.`,
    )
  for (const { server, problem, what } of registers) lines.push(`  ${nameOf(server)}: ${problem} (${what})`)
  return lines
}

function volumeLines(report: VolumeReport, nameOf: NameOf): string[] {
  const { volume, account, away, hasMoved, refusing, collected, error } = report
  const lines = away.map(
    ({ server, sinceMs }) => `${nameOf(server)} of ${volume} has not answered since ${isoTime(sinceMs)}.`,
  )
  if (refusing.length > 0) {
    const told = tellAnswers(
      refusing.map(({ server, why }) => ({ server: nameOf(server), why: why.replaceAll(server, nameOf(server)) })),
    )
    lines.push(
      `${volume} lacks room for what was to be mended, which account ${account.slice(0, 16)} pays for. ${told}. Nothing more was offered there in this round.`,
      `  Free space (\`rm\`, \`snapshot remove\` and \`keep\`, then \`gc\` a day later), ask who runs it for a larger quota, or add a place. Each round tries again.`,
    )
  }
  if (hasMoved) lines.push(`${volume} has other places, or other labels of places, than before.`)
  if (collected) {
    lines.push(
      `${volume}: ${plural(collected.shares, "share")} removed that nothing needs (${sizeText(collected.bytes)}).`,
    )
    for (const problem of collected.problems) lines.push(`  ${problem}`)
  }
  if (error) lines.push(`${volume} was not collected: ${error.message}`)
  return lines
}

function percent(part: number): string {
  return `${Math.floor(part * 100)} %`
}

function timeOf(timeMs: number | undefined): string | null {
  return timeMs === undefined ? null : isoTime(timeMs)
}

function errorOf(error: Error | undefined): object | null {
  return error ? { code: "code" in error ? error.code : "ERR_INTERNAL", message: error.message } : null
}
