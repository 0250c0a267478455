/** The profile's grid: the description that its pins allow, and connections to its servers. */
import { createNodeBackend } from "@holdfast/backends/storage-node"
import { type BufferPool, HoldfastError, isHoldfastError, isoTime } from "@holdfast/core"
import {
  absentVoters,
  acceptOffer,
  askedMs,
  createAgent,
  expiresSoon,
  type FetchedGrid,
  fetchGrid,
  type GridOffer,
  type Identity,
  loadGrid,
  loadOffer,
  loadPins,
  type Pins,
  parseAddress,
  RevokedKeys,
  refuseOffer,
  renewIdentity,
  requestBytes,
  standingsOf,
} from "@holdfast/network"
import type { Backend, GridDescription, GridServer } from "@holdfast/protocol"
import type { PlacedServer } from "@holdfast/store"
import { grantFor } from "../account/account.ts"
import type { Profile } from "../profile/profile.ts"
import { requireGrid } from "./choose.ts"
import { goneVoter, readOnlyServer } from "./untrusted-server.ts"

/** A description that was asked for longer ago, by this machine's clock, is asked for again if the coordinator answers. */
const refreshAfterMs = 60_000
/** With less left than this and no renewal, the user must hear of it. */
const warnBeforeMs = 14 * 86_400_000
const againTimeoutMs = 3_000

/** What may happen while a grid is opened. */
export interface GridOptions {
  /** Called when the certificate ends within two weeks and could not be renewed. */
  readonly onCertificateEnding?: (notAfterMs: number) => void
  /** Hears what the user should know although the grid can be used. */
  readonly onWarning?: (text: string) => void
  /** Asks the user about changes that weaken the grid; undefined when there is nobody to ask. */
  readonly onOffer?: (offer: GridOffer) => Promise<boolean | undefined>
  /** Asks the coordinator, however lately it was asked. */
  readonly fresh?: boolean
}

/** A grid that the profile is a member of. */
export interface OpenedGrid {
  readonly grid: GridDescription
  readonly pins: Pins
  /** A backend that reaches a server; large answers lie in arrays of `buffers`. */
  connect(server: GridServer, buffers?: BufferPool): Backend
  /** All servers as the store uses them. */
  place(buffers?: BufferPool): PlacedServer[]
  /** Ends what runs beside the requests. */
  close(): void
}

/** Opens the grid of a profile, its certificate renewed when that is due. Throws ERR_NO_GRID, ERR_PINNED. */
export async function openGrid(profile: Profile, options: GridOptions): Promise<OpenedGrid> {
  requireGrid(profile)
  // While the coordinator is away, or refuses, the present certificate does until it ends.
  const identity = await profile.identity()
  const renewed = await renewIdentity(profile.identityDir, identity).catch(() => identity)
  if (expiresSoon(renewed, Date.now(), warnBeforeMs)) options.onCertificateEnding?.(renewed.notAfterMs)
  const grant = await grantFor(await profile.account(), renewed)
  const onDropped = onceDropped(options)
  return openedGrid(profile.identityDir, renewed, {
    ...(await currentGrid(profile, renewed, options)),
    grant,
    onDropped,
  })
}

/** Tells the user once that the account was dropped, by the first server that says so. */
function onceDropped({ onWarning }: GridOptions): (server: string, atMs: number) => void {
  let isTold = false
  return (server, atMs) => {
    if (isTold) return
    isTold = true
    const day = isoTime(atMs).slice(0, 10)
    onWarning?.(
      `this account was dropped by the administrator: nothing more is stored for it, and server ${server} removes what it holds on ${day}. ` +
        "Copy it elsewhere (`holdfast get`), or ask the administrator to keep the account.",
    )
  }
}

/** What a grid is opened with. */
export interface GridNow extends Pick<FetchedGrid, "grid" | "pins" | "fresh"> {
  /** The account's grant; without one the servers can only be read. */
  readonly grant?: Uint8Array
  /** Hears of servers where the account is dropped. */
  readonly onDropped?: (server: string, atMs: number) => void
}

/** The grid with this description and these pins. */
export function openedGrid(dir: string, identity: Identity, now: GridNow): OpenedGrid {
  const { grid, pins } = now
  const links = new Links(dir, identity, now)
  const standings = new Map(standingsOf(grid, pins).map((standing) => [standing.server.id, standing]))
  const connect = (server: GridServer, buffers?: BufferPool) =>
    links.connect(server, standings.get(server.id)?.key, buffers)
  return {
    grid,
    pins,
    connect,
    place: (buffers) => [
      ...[...standings.values()].map(({ server, trust, weight, votes }) => {
        const backend = connect(server, buffers)
        const keeps = { shares: true, registers: votes }
        return { backend: trust === "waiting" ? readOnlyServer(backend, server.name) : backend, weight, keeps }
      }),
      ...absentVoters(grid, pins).map((id) => ({
        backend: goneVoter(id),
        weight: 1,
        keeps: { shares: false, registers: true },
      })),
    ],
    close: () => links.close(),
  }
}

async function currentGrid(profile: Profile, identity: Identity, options: GridOptions): Promise<FetchedGrid> {
  const dir = profile.identityDir
  const ageMs = Date.now() - ((await askedMs(dir)) ?? Number.NEGATIVE_INFINITY)
  if (!options.fresh && ageMs >= 0 && ageMs < refreshAfterMs) {
    const [grid, pins] = await Promise.all([loadGrid(dir), loadPins(dir)])
    return withWaiting(dir, { grid, pins, fresh: false, warnings: [] }, options)
  }
  const fetched = await fetchGrid(dir, { identity })
  for (const warning of fetched.warnings) options.onWarning?.(warning)
  if (!fetched.offer && !fetched.fresh) return withWaiting(dir, fetched, options) // the coordinator is away
  if (!fetched.offer || fetched.offer.violations.length > 0) return fetched
  return askUser(dir, fetched, fetched.offer, options)
}

/** What another command was offered waits for the user's word whether the coordinator is asked anew or not. */
async function withWaiting(dir: string, fetched: FetchedGrid, options: GridOptions): Promise<FetchedGrid> {
  const offer = await loadOffer(dir).catch((error: unknown) => {
    if (isHoldfastError(error)) return undefined // none, or none that could ever be taken
    throw error
  })
  const waits = offer && offer.violations.length === 0 && offer.changes.length > 0 && !offer.refused
  return waits ? askUser(dir, fetched, offer, options) : fetched
}

async function askUser(
  dir: string,
  fetched: FetchedGrid,
  offer: GridOffer,
  { onOffer }: GridOptions,
): Promise<FetchedGrid> {
  const answer = await onOffer?.(offer)
  const { serial } = offer.grid
  if (answer === undefined || (answer && isMove(offer))) throw pinnedError(offer)
  if (answer) return { ...(await acceptOffer(dir, serial)), fresh: true, warnings: [] }
  await refuseOffer(dir, serial)
  return fetched
}

/** Other servers of registers need the registers copied first, which `grid accept` does. */
function isMove({ changes }: GridOffer): boolean {
  return changes.some(({ what }) => what === "voters")
}

/** The error for changes that nobody was there to be asked about. */
export function pinnedError({ grid, changes }: GridOffer): HoldfastError {
  const { serial } = grid
  return new HoldfastError(
    "ERR_PINNED",
    `The grid's coordinator changed what this profile relies on: ${changes.map(({ text }) => text).join("; ")}. ` +
      `Nothing was sent. If its operator told you so: holdfast grid accept ${serial}; if not, go on with the grid as it was: holdfast grid refuse ${serial}`,
    { serial, changes },
  )
}

/** Connections of one session to the servers of a grid. Revoked keys and new addresses reach them while they are open. */
class Links {
  readonly #dir: string
  readonly #grant: Uint8Array | undefined
  readonly #onDropped: GridNow["onDropped"]
  readonly #identity: Identity
  readonly #revoked: RevokedKeys
  readonly #watching: NodeJS.Timeout
  #newest: Promise<GridDescription> | undefined

  constructor(dir: string, identity: Identity, { grid, pins, fresh, grant, onDropped }: GridNow) {
    this.#grant = grant
    this.#onDropped = onDropped
    this.#dir = dir
    this.#identity = identity
    this.#revoked = new RevokedKeys(pins.revoked)
    if (fresh) this.#newest = Promise.resolve(grid)
    this.#watching = setInterval(() => this.#look(), refreshAfterMs)
    this.#watching.unref()
  }

  connect(server: GridServer, expectedKey: string | undefined, buffers: BufferPool | undefined): Backend {
    const { id } = server
    const expected = { expectedId: id, expectedRole: "node" as const, expectedKey, revoked: this.#revoked }
    const agent = createAgent(this.#identity, expected)
    const waiting = createAgent(this.#identity, expected) // what waits takes no connection that work needs
    const allocation = buffers ? { allocate: (length: number) => buffers.take(length) } : {}
    let { address } = server
    return createNodeBackend({
      id,
      address,
      ...(this.#grant && { grant: this.#grant }),
      onDropped: (atMs) => this.#onDropped?.(server.name, atMs),
      request: async ({ waits, ...call }) => {
        const chosen = waits ? waiting : agent
        try {
          return await requestBytes(chosen, { ...parseAddress(address), ...allocation, ...call })
        } catch (error) {
          const moved = isAbsence(error) ? await this.#addressOf(id) : undefined
          if (moved === undefined || moved === address) throw error
          address = moved
          return requestBytes(chosen, { ...parseAddress(address), ...allocation, ...call })
        }
      },
      close() {
        agent.destroy()
        waiting.destroy()
      },
    })
  }

  close(): void {
    clearInterval(this.#watching)
  }

  /** Where a server is by the coordinator's newest word, asked for once. */
  async #addressOf(id: string): Promise<string | undefined> {
    this.#newest ??= fetchGrid(this.#dir, { identity: this.#identity, timeoutMs: againTimeoutMs }).then(
      ({ grid }) => grid,
    )
    const grid = await this.#newest.catch(() => undefined)
    return grid?.servers.find((server) => server.id === id)?.address
  }

  #look(): void {
    fetchGrid(this.#dir, { identity: this.#identity })
      .then(({ grid, pins }) => {
        this.#revoked.add(pins.revoked)
        this.#newest = Promise.resolve(grid)
      })
      .catch(() => undefined) // asked again in a minute
  }
}

/** The server is away, or somebody else answers in its place. */
function isAbsence(error: unknown): boolean {
  if (isHoldfastError(error, "ERR_SERVER_UNREACHABLE")) return true
  return isHoldfastError(error, "ERR_REFUSED") && error.details.proven !== true
}
