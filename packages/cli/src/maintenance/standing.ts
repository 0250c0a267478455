/** What `status` tells of maintenance: when each tree was last looked at and verified in full, and what is below its spare. */
import type { Session } from "@holdfast/client/volumes"
import { isoTime } from "@holdfast/core"
import { type MaintenanceMemory, partDone } from "@holdfast/fs/care"
import { decodeCap } from "@holdfast/protocol"
import type { Context } from "../context.ts"
import { plural } from "../words.ts"
import { type MaintenanceOwner, openMaintenance } from "./folder.ts"
import { maintainedKey } from "./volumes.ts"

/** A value for programs and lines for people. */
interface Standing {
  readonly value: object | null
  readonly lines: readonly string[]
}

/** When the last round of all trees began and ended, whatever process of the profile ran it; undefined before the first. */
export async function lastRound(
  owner: MaintenanceOwner,
): Promise<{ readonly started: string; readonly ended: string | null } | undefined> {
  const { round } = await openMaintenance(owner).folder.load()
  if (!round) return undefined
  const { startedMs, endedMs } = round
  return { started: isoTime(startedMs), ended: endedMs === undefined ? null : isoTime(endedMs) }
}

/** How the volume of a session stands; null where nobody has looked after it from here. */
export async function standingOf(context: Context, session: Session): Promise<Standing> {
  const { storage, profile, volume } = session
  const memory = await openMaintenance(context).folder.load()
  const own = Object.entries(memory.trees).filter(([key]) => key.startsWith(`${storage}/`))
  if (own.length === 0) return { value: null, lines: [] }
  const labels = new Map<string, string>()
  for (const [alias, text] of profile.aliases) {
    const key = await maintainedKey(storage, decodeCap(text))
    if (key !== undefined) labels.set(key, `${alias}:`)
  }
  const labelOf = (key: string) =>
    labels.get(key) ?? (key === `${storage}/account` ? "the account's list" : "another tree")
  const away = Object.entries(memory.volumes[storage]?.awaySinceMs ?? {})
  return {
    value: {
      trees: own.map(([key, tree]) => ({
        tree: labelOf(key),
        looked: isoTime(tree.lookedMs),
        verified: tree.verifiedMs === undefined ? null : isoTime(tree.verifiedMs),
        part: tree.verify ? partDone(tree.verify) : 0,
        below: tree.below.length,
        broken: tree.broken.length,
      })),
      away: away.map(([server, sinceMs]) => ({ server, since: isoTime(sinceMs) })),
    },
    lines: [
      ...own.map(([key, tree]) => treeLine(labelOf(key), tree)),
      ...away.map(
        ([server, sinceMs]) => `    ${session.nameOf(server)} of ${volume} had not answered since ${isoTime(sinceMs)}`,
      ),
    ],
  }
}

function treeLine(
  label: string,
  { lookedMs, verifiedMs, verify, below, broken }: MaintenanceMemory["trees"][string],
): string {
  const full = verifiedMs === undefined ? "not verified in full yet" : `verified in full ${dayOf(verifiedMs)}`
  const part = verify ? `, ${Math.floor(100 * partDone(verify))} % of this time` : ""
  const lack = below.length > 0 ? `; ${plural(below.length, "chunk")} BELOW ITS SPARE` : ""
  const lost = broken.length > 0 ? `; ${plural(broken.length, "chunk")} BROKEN` : ""
  return `    maintained ${label} last looked at ${isoTime(lookedMs)}, ${full}${part}${lack}${lost}`
}

function dayOf(timeMs: number): string {
  return isoTime(timeMs).slice(0, 10)
}
