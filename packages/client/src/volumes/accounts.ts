/** The accounts of a volume's own places, buckets and directories, for whoever administers these: who may delete there. */
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import type { AccountInfo, VolumeBackend, VolumeDescription } from "@holdfast/protocol"
import { type Asked, askEach } from "./administer.ts"

type Accounts = import("@holdfast/backends").PlaceAccounts
type OwnPlace = Exclude<VolumeBackend, { kind: "node" }>

/** What each place of the volume that is no node answered. Places fail by themselves. */
export async function atPlaces<T>(
  { backends }: VolumeDescription,
  work: (accounts: Accounts) => Promise<T>,
): Promise<Asked<T>> {
  return askEach(
    backends.filter((place) => place.kind !== "node"),
    ({ id }) => id,
    async (place) => {
      const accounts = await openAccounts(place)
      return work(accounts).finally(() => accounts.close())
    },
  )
}

/** The accounts at all places of the volume. */
export function listPlaces(volume: VolumeDescription): Promise<Asked<AccountInfo[]>> {
  return atPlaces(volume, (accounts) => accounts.list())
}

async function openAccounts(place: OwnPlace): Promise<Accounts> {
  const { id } = place
  if (place.kind === "s3") {
    const { openBucket, openBucketAccounts } = await import("@holdfast/backends/s3")
    return openBucketAccounts(openBucket(place), { id, crypto })
  }
  const [{ openDirectoryAccounts }, { checkDirectory, waitMs }] = await Promise.all([
    import("@holdfast/backends/directory"),
    import("./open.ts"),
  ])
  checkDirectory(place)
  return openDirectoryAccounts({ id, dir: place.path, crypto, clock, waitMs })
}
