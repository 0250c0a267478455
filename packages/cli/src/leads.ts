/** The user's word before keys of buckets are used where a description leads that somebody else wrote. */
import { describeLead, keysOf, originOf } from "@holdfast/client/volumes"
import type { VolumeBackend, VolumeDescription } from "@holdfast/protocol"
import { confirm } from "./confirm.ts"
import type { Context } from "./context.ts"

type Bucket = Extract<VolumeBackend, { kind: "s3" }>

/** What a description is checked against. */
export interface LeadsQuestion {
  readonly volumes: Iterable<VolumeDescription>
  /** Places that the user named or uses already. */
  readonly known: Iterable<VolumeBackend>
  /** The user said yes before. */
  readonly yes: boolean
  /** What is done without. */
  readonly refused: string
  /** The description is the user's own, proven so: any keys may go to hosts that are known. */
  readonly isOwn?: boolean
}

/**
 * Asks before keys go to a host that none of the known places is at, or other keys than are used there already. Throws
 * ERR_INVALID_ARGUMENT where nobody can be asked, ERR_ABORTED.
 */
export async function confirmLeads(
  context: Context,
  { volumes, known, yes, refused, isOwn = false }: LeadsQuestion,
): Promise<void> {
  const leadOf = (place: Bucket) => (isOwn ? originOf(place) : `${originOf(place)} ${keysOf(place)}`)
  const leads = new Set([...known].filter((place) => place.kind === "s3").map(leadOf))
  const places = [...volumes].flatMap(({ backends }) => backends)
  const strange = places.filter((place): place is Bucket => place.kind === "s3" && !leads.has(leadOf(place)))
  if (yes || strange.length === 0) return
  await confirm(context, {
    warning: [
      "This leads to hosts where you have not used these keys yet, and there they would be used:",
      ...strange.map((place) => `  ${describeLead(place)};`),
    ],
    question: "Is that where they belong?",
    insteadOfAsking: "If that is right, add --yes.",
    refusal: refused,
  })
}
