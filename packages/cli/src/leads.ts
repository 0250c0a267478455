/** The user's word before keys of buckets are used where a description leads that somebody else wrote. */
import { describeLead, originOf } from "@holdfast/client/volumes"
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
}

/**
 * Asks before keys go to a host that none of the known places is at. Throws ERR_INVALID_ARGUMENT where nobody can be asked,
 * ERR_ABORTED.
 */
export async function confirmLeads(context: Context, { volumes, known, yes, refused }: LeadsQuestion): Promise<void> {
  const origins = new Set([...known].filter((place) => place.kind === "s3").map(originOf))
  const places = [...volumes].flatMap(({ backends }) => backends)
  const strange = places.filter((place): place is Bucket => place.kind === "s3" && !origins.has(originOf(place)))
  if (yes || strange.length === 0) return
  await confirm(context, {
    warning: [
      "This leads to hosts that you have not used yet, and your keys would be used there:",
      ...strange.map((place) => `  ${describeLead(place)};`),
    ],
    question: "Is that where they belong?",
    insteadOfAsking: "If that is right, add --yes.",
    refusal: refused,
  })
}
