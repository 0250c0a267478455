/**
 * Taking a description with other servers of registers: what the profile's trees have as their roots is given to a quorum
 * of the new ones first, since quorums of both sets need not meet.
 */
import { acceptOffer, loadGrid, loadOffer, loadPins, type Pins } from "@holdfast/network"
import { type GridDescription, votersOf } from "@holdfast/protocol"
import { grantFor } from "../account/account.ts"
import type { Profile } from "../profile/profile.ts"
import { giveValues, newestValues } from "./change.ts"
import { openedGrid } from "./grid.ts"
import { knownRegisters } from "./known-registers.ts"
import { openGridSession } from "./session.ts"

/** Takes the offer with this serial. Without a profile, of a node, nothing is copied. Throws ERR_NOT_FOUND, ERR_NO_QUORUM. */
export async function acceptGrid(
  dir: string,
  serial: number,
  profile: Profile | undefined,
): Promise<{ readonly registers: number }> {
  const offer = await loadOffer(dir)
  const pins = await loadPins(dir)
  const isMove = offer.changes.some(({ what }) => what === "voters")
  const registers = profile && isMove && offer.grid.serial === serial ? await copyRoots(profile, pins, offer.grid) : 0
  await acceptOffer(dir, serial)
  return { registers }
}

async function copyRoots(profile: Profile, pins: Pins, next: GridDescription): Promise<number> {
  const before = await loadGrid(profile.identityDir)
  const values = await within(profile, withNewAddresses(before, next), pins, async (session) =>
    newestValues(session.voters, session, await knownRegisters(session)),
  )
  const after = {
    ...pins,
    voters: [...votersOf(next)],
    servers: Object.fromEntries(next.servers.map(({ id, key }) => [id, key ?? null])),
  }
  await within(profile, next, after, (session) => giveValues(session, values))
  return values.length
}

async function within<T>(
  profile: Profile,
  grid: GridDescription,
  pins: Pins,
  work: (session: Awaited<ReturnType<typeof openGridSession>>) => Promise<T>,
): Promise<T> {
  const identity = await profile.identity()
  const grant = await grantFor(await profile.account(), identity)
  const opened = openedGrid(profile.identityDir, identity, { grid, pins, fresh: true, grant })
  const session = await openGridSession(profile, opened, {})
  try {
    return await work(session)
  } finally {
    await session.close()
  }
}

/** The servers as they were, where they are now. */
function withNewAddresses(before: GridDescription, next: GridDescription): GridDescription {
  const now = new Map(next.servers.map((server) => [server.id, server]))
  return {
    ...before,
    servers: before.servers.map((server) => ({ ...server, address: now.get(server.id)?.address ?? server.address })),
  }
}
