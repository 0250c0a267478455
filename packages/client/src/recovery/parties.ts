/**
 * Who can read a volume's places, counted as parties and not as places: whoever has one credential reads all that it
 * opens. All nodes of a grid let in every member of the tenant; all directories lie on one machine; buckets belong
 * together when their keys are the same, or one service runs them.
 */
import { createHash } from "node:crypto"
import { HoldfastError } from "@holdfast/core"
import type { VolumeBackend } from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"
import { groupSizes, type KitThreshold, kitThreshold } from "../kits/threshold.ts"
import { gridName } from "../volumes/choose.ts"
import type { Session } from "../volumes/session.ts"

type Bucket = Extract<VolumeBackend, { kind: "s3" }>

/** The places of a session, as far as it matters who can read them. */
type Places = Pick<Session, "volume" | "backends"> & { readonly profile: Pick<Session["profile"], "volumes"> }

/** The parties of a volume: sizes of the groups of places, the largest first. */
export async function partiesOf({ volume, profile, backends }: Places): Promise<number[]> {
  if (volume === gridName) return [backends.length]
  return groupSizes(await Promise.all(profile.volumes.get(volume)!.backends.map(marksOf)))
}

/**
 * How many parts a kit needs: f+1, where f is how many places may be lost, or lie. One that is not protected needs more
 * than any f parties hold. Throws ERR_INVALID_ARGUMENT when no such number exists.
 */
export async function thresholdOf(
  session: Places & Pick<Session, "registerMode">,
  isProtected: boolean,
): Promise<KitThreshold> {
  const { backends, registerMode, volume } = session
  const places = backends.length
  const faults = places - quorumOf(places, registerMode)
  if (faults < 1)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `The volume ${volume} has ${places} ${places === 1 ? "place" : "places"}: no part of a key could be missing. A recovery kit needs at least 3 places (4 in byzantine mode).`,
      { places },
    )
  const parties = await partiesOf(session)
  const found = kitThreshold({ places, faults, parties, isProtected })
  if (found) return found
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `The ${places} places of ${volume} are in ${parties.length === 1 ? "one hand: a single credential" : `${parties.length} hands: ${faults} of their credentials`} could read a kit without words or passphrase, and all your keys with it.`,
    { places, parties: parties.length, advice: "new-words" },
  )
}

async function marksOf(place: VolumeBackend): Promise<string[]> {
  if (place.kind === "node") return ["grid"]
  if (place.kind === "directory") return ["this machine"]
  return [`service ${serviceOf(place)}`, `key ${await keyMark(place)}`]
}

/** Without an endpoint it is AWS, whatever the region. */
function serviceOf({ endpoint }: Bucket): string {
  return endpoint === undefined ? "aws" : new URL(endpoint).host
}

/** Tells keys apart; those that cannot be read now count by where they should be. */
async function keyMark(place: Bucket): Promise<string> {
  const { credentialsFor } = await import("@holdfast/backends/s3")
  const named = `${place.credentials ?? ""} ${place.profile ?? ""}`
  const id = await credentialsFor(place)().then(
    ({ accessKeyId }) => `id ${accessKeyId}`,
    () => `file ${named}`,
  )
  return createHash("sha256").update(id).digest("hex")
}
