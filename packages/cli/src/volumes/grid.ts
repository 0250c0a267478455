/** The profile's grid: its newest description and connections to its servers. */
import { createNodeBackend } from "@holdfast/backends/node"
import type { BufferPool } from "@holdfast/core"
import {
  createAgent,
  expiresSoon,
  fetchGrid,
  type Identity,
  loadGrid,
  parseAddress,
  renewIdentity,
  requestBytes,
} from "@holdfast/network"
import type { Backend, GridDescription, GridServer } from "@holdfast/protocol"
import { grantFor } from "../account/account.ts"
import type { Profile } from "../profile/profile.ts"

/** A cached grid description older than this is refreshed, if the coordinator answers. */
const refreshAfterMs = 60_000
/** With less left than this and no renewal, the user must hear of it. */
const warnBeforeMs = 14 * 86_400_000

/** A grid that the profile is a member of. */
export interface OpenedGrid {
  readonly grid: GridDescription
  /** A backend that reaches a server; large answers lie in arrays of `buffers`. */
  connect(server: GridServer, buffers?: BufferPool): Backend
}

/** Opens the grid of a profile, its certificate renewed when that is due. Throws ERR_NOT_FOUND without one. */
export async function openGrid(
  profile: Profile,
  { onCertificateEnding }: { readonly onCertificateEnding?: (notAfterMs: number) => void },
): Promise<OpenedGrid> {
  // While the coordinator is away, or refuses, the present certificate does until it ends.
  const identity = await profile.identity()
  const renewed = await renewIdentity(profile.identityDir, identity).catch(() => identity)
  if (expiresSoon(renewed, Date.now(), warnBeforeMs)) onCertificateEnding?.(renewed.notAfterMs)
  const grid = await currentGrid(profile, renewed)
  const grant = await grantFor(await profile.account(), renewed)
  return { grid, connect: (server, buffers) => connect(server, renewed, { grant, buffers }) }
}

async function currentGrid(profile: Profile, identity: Identity): Promise<GridDescription> {
  const cached = await loadGrid(profile.identityDir).catch(() => undefined)
  if (cached && Date.now() - cached.issuedMs < refreshAfterMs) return cached
  return (await fetchGrid(profile.identityDir, { identity })).grid
}

/** How a server is reached. */
export interface ConnectOptions {
  /** The account's grant; without one it can only be read. */
  readonly grant?: Uint8Array
  readonly buffers?: BufferPool | undefined
}

/** A backend that reaches a server over mutual TLS. Large answers lie in arrays of `buffers`. */
export function connect(server: GridServer, identity: Identity, { grant, buffers }: ConnectOptions = {}): Backend {
  const agent = createAgent(identity, { expectedId: server.id, expectedRole: "node" })
  const { host, port } = parseAddress(server.address)
  const allocation = buffers ? { allocate: (length: number) => buffers.take(length) } : {}
  return createNodeBackend({
    id: server.id,
    address: server.address,
    ...(grant && { grant }),
    request: (call) => requestBytes(agent, { host, port, ...allocation, ...call }),
    close: () => agent.destroy(),
  })
}
