/** The profile's grid: the description that its pins allow, and connections to its servers. */
import { type BufferPool, HoldfastError, isHoldfastError, isoTime } from "@holdfast/core"
import {
  acceptOffer,
  askedMs,
  expiresSoon,
  type FetchedGrid,
  fetchGrid,
  type GridOffer,
  type Identity,
  loadGrid,
  loadOffer,
  loadPins,
  type Pins,
  refuseOffer,
  renewIdentity,
} from "@holdfast/network"
import type { Backend, GridDescription, GridServer } from "@holdfast/protocol"
import type { PlacedServer } from "@holdfast/store"
import { grantFor } from "../account/account.ts"
import type { Profile } from "../profile/profile.ts"
import { requireGrid } from "./choose.ts"
import { GridLinks, type GridNow, warnBeforeMs } from "./grid-links.ts"

/** A description that was asked for longer ago, by this machine's clock, is asked for again if the coordinator answers. */
const refreshAfterMs = 60_000

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
  /** How often the coordinator is asked while the grid is open; a minute when absent. */
  readonly askEveryMs?: number | undefined
}

/** A grid that the profile is a member of. */
export interface OpenedGrid {
  readonly grid: GridDescription
  readonly pins: Pins
  /** A backend that reaches a server; large answers lie in arrays of `buffers`. */
  connect(server: GridServer, buffers?: BufferPool): Backend
  /** All servers as the store uses them, by the newest description that was taken; one that has not changed is the same backend again. */
  place(buffers?: BufferPool): PlacedServer[]
  /** What people call a server; its id when it is not known. */
  nameOf(id: string): string
  /** Whether a server is one of the grid now. */
  isMember(id: string): boolean
  /** False for a server that only is read, since it waits for the user's word. */
  isTaking(id: string): boolean
  /**
   * Calls `onChange` when `place` gives something else, as servers come, go and are confirmed while the grid is open. Other hearers of
   * before hear nothing more.
   */
  follow(onChange: () => void): void
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
    ...{ grant, onDropped, askEveryMs: options.askEveryMs },
    ...{ onWarning: options.onWarning, onCertificateEnding: options.onCertificateEnding },
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

/** The grid with this description and these pins. */
export function openedGrid(dir: string, identity: Identity, now: GridNow): OpenedGrid {
  const links = new GridLinks(dir, identity, now)
  return {
    grid: now.grid,
    pins: now.pins,
    connect: (server, buffers) => links.connect(server, buffers),
    place: (buffers) => links.place(buffers),
    nameOf: (id) => links.nameOf(id),
    isMember: (id) => links.isMember(id),
    isTaking: (id) => links.isTaking(id),
    follow: (onChange) => links.follow(onChange),
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
function pinnedError({ grid, changes }: GridOffer): HoldfastError {
  const { serial } = grid
  return new HoldfastError(
    "ERR_PINNED",
    `The grid's coordinator changed what this profile relies on: ${changes.map(({ text }) => text).join("; ")}. ` +
      `Nothing was sent. If its operator told you so: holdfast grid accept ${serial}; if not, go on with the grid as it was: holdfast grid refuse ${serial}`,
    { serial, changes },
  )
}
