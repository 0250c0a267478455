/** What a session is bound to for as long as it is open: where its volume lies, by which account and as which member of the grid. */
import { isHoldfastError, toHex } from "@holdfast/core"
import { loadPins } from "@holdfast/network"
import type { Profile } from "../profile/profile.ts"
import { gridName, hasGrid } from "./choose.ts"

/** Remembers what a volume of a profile is now; what it gives tells whether that is so still. */
export async function since(profile: Profile, volume: string): Promise<() => Promise<boolean>> {
  const before = await bindingOf(profile, volume)
  return async () => (await bindingOf(profile, volume)) === before
}

/** All that has to stay as it is. It names secrets: for comparing alone. */
async function bindingOf(profile: Profile, volume: string): Promise<string> {
  const { id, keys, grant } = await profile.account()
  const account = [toHex(id), keys !== undefined, grant && toHex(grant)]
  const description = profile.volumes.get(volume)
  const needsGrid = volume === gridName || description?.backends.some(({ kind }) => kind === "node")
  return JSON.stringify([account, description ?? null, needsGrid && hasGrid(profile) ? await memberOf(profile) : null])
}

/** Who the profile is on its grid; what cannot be read is another one, and opening anew says why. */
async function memberOf(profile: Profile): Promise<unknown> {
  try {
    const [{ memberId, caPem, keyPem }, { gridId }] = [await profile.identity(), await loadPins(profile.identityDir)]
    return [gridId, memberId, caPem, keyPem]
  } catch (error) {
    if (isHoldfastError(error)) return error.code
    throw error
  }
}
