/**
 * Connections of one session to the servers of a grid, for as long as it is open: revoked keys, new addresses, servers that come, go
 * or are confirmed, and this machine's own renewed certificate reach them while it is.
 */
import { createNodeBackend } from "@holdfast/backends/storage-node"
import { type BufferPool, HoldfastError, isAbort, isHoldfastError } from "@holdfast/core"
import {
  absentVoters,
  expiresSoon,
  type FetchedGrid,
  fetchGrid,
  type GridOffer,
  type Identity,
  loadIdentity,
  type Pins,
  parseAddress,
  RevokedKeys,
  renewIdentity,
  type Standing,
  standingsOf,
  TransportClient,
} from "@holdfast/network"
import { type Backend, domainsOf, type GridDescription, type GridServer } from "@holdfast/protocol"
import type { PlacedServer } from "@holdfast/store"
import { goneVoter, readOnlyServer } from "./untrusted-server.ts"

/** With less left than this of a certificate and no renewal, the user must hear of it. */
export const warnBeforeMs = 14 * 86_400_000
const askEveryMs = 60_000
/** A coordinator whose certificates end soon after they are made is not asked for one each minute. */
const renewEveryMs = 3_600_000
const warnEveryMs = 86_400_000
const againTimeoutMs = 3_000

/** What a grid is opened with. */
export interface GridNow extends Pick<FetchedGrid, "grid" | "pins" | "fresh"> {
  /** The account's grant; without one the servers can only be read. */
  readonly grant?: Uint8Array
  /** Hears of servers where the account is dropped. */
  readonly onDropped?: (server: string, atMs: number) => void
  /** What the user has heard of already. */
  readonly warnings?: readonly string[]
  /** Hears what the user should know of what changes while the grid is open, each once. */
  readonly onWarning?: ((text: string) => void) | undefined
  /** Hears each day that the certificate ends within two weeks and could not be renewed. */
  readonly onCertificateEnding?: ((notAfterMs: number) => void) | undefined
  /** How often the coordinator is asked; a minute when absent. */
  readonly askEveryMs?: number | undefined
}

/** A server that was connected to, while nothing but its address changes. */
interface Link {
  readonly key: string
  readonly backend: Backend
}

/** The servers of a grid, connected. */
export class GridLinks {
  readonly #dir: string
  readonly #now: GridNow
  readonly #revoked: RevokedKeys
  readonly #watching: NodeJS.Timeout
  readonly #transports = new Set<TransportClient>()
  readonly #told: Set<string>
  readonly #closed = new AbortController()
  /** When it was last said that the certificate ends; that is said as a grid is opened. */
  #warnedMs = Date.now()
  /** When a new certificate was last asked for; that is done as a grid is opened. */
  #renewedMs = Date.now()
  #identity: Identity
  #grid: GridDescription
  #pins: Pins
  #links = new Map<string, Link>() // by server
  #newest: Promise<GridDescription> | undefined
  #onChange: (() => void) | undefined
  #looking: Promise<void> | undefined

  constructor(dir: string, identity: Identity, now: GridNow) {
    this.#dir = dir
    this.#now = now
    this.#identity = identity
    this.#grid = now.grid
    this.#pins = now.pins
    this.#told = new Set(now.warnings)
    this.#revoked = new RevokedKeys(now.pins.revoked)
    if (now.fresh) this.#newest = Promise.resolve(now.grid)
    this.#watching = setInterval(() => this.#look(), now.askEveryMs ?? askEveryMs)
    this.#watching.unref()
  }

  /** A backend that reaches a server; it belongs to the caller. */
  connect(server: GridServer, buffers: BufferPool | undefined): Backend {
    return this.#connect(server, this.#standings().find((one) => one.server.id === server.id)?.key, buffers)
  }

  /** All servers as the store uses them; one that has not changed is the same backend again. */
  place(buffers: BufferPool | undefined): PlacedServer[] {
    const before = this.#links
    this.#links = new Map()
    const use = (id: string, key: string, open: () => Backend): Backend => {
      const known = before.get(id)
      const link = known?.key === key ? known : { key, backend: open() }
      this.#links.set(id, link)
      return link.backend
    }
    return [
      ...this.#standings().flatMap(({ server, trust, weight, holds, votes, key }) => {
        if (!holds && !votes) return [] // a witness that is not asked yet
        const isReadOnly = trust === "waiting"
        const backend = use(server.id, `${isReadOnly ? "read" : "used"} ${key}`, () => {
          const reached = this.#connect(server, key, buffers)
          return isReadOnly ? readOnlyServer(reached, server.name) : reached
        })
        const keeps = { shares: holds, registers: votes }
        return [{ backend, weight, keeps, domains: domainsOf(server.labels), isWaiting: isReadOnly }]
      }),
      ...absentVoters(this.#grid, this.#pins).map((id) => ({
        backend: use(id, "gone", () => goneVoter(id)),
        weight: 1,
        keeps: { shares: false, registers: true },
      })),
    ]
  }

  nameOf(id: string): string {
    return this.#grid.servers.find((server) => server.id === id)?.name ?? id
  }

  isMember(id: string): boolean {
    return this.#grid.servers.some((server) => server.id === id)
  }

  isTaking(id: string): boolean {
    return this.#standings().some(({ server, trust }) => server.id === id && trust !== "waiting")
  }

  follow(onChange: () => void): void {
    this.#onChange = onChange
  }

  close(): void {
    clearInterval(this.#watching)
    this.#onChange = undefined
    this.#closed.abort()
  }

  #standings(): Standing[] {
    return standingsOf(this.#grid, this.#pins)
  }

  #connect(server: GridServer, expectedKey: string | undefined, buffers: BufferPool | undefined): Backend {
    const { id } = server
    const expected = { expectedId: id, expectedRole: "node" as const, expectedKey, revoked: this.#revoked }
    const transport = new TransportClient(this.#identity, expected)
    this.#transports.add(transport)
    const allocation = buffers ? { allocate: (length: number) => buffers.take(length) } : {}
    const { grant } = this.#now
    let { address } = server
    return createNodeBackend({
      id,
      address,
      ...(grant && { grant }),
      onDropped: (atMs) => this.#now.onDropped?.(server.name, atMs),
      request: async (call) => {
        try {
          return await transport.request({ ...parseAddress(address), ...allocation, ...call })
        } catch (error) {
          const moved = isAbsence(error) ? await this.#addressOf(id) : undefined
          if (moved === undefined || moved === address) throw error
          address = moved
          return transport.request({ ...parseAddress(address), ...allocation, ...call })
        }
      },
      close: () => {
        transport.close()
        this.#transports.delete(transport)
      },
    })
  }

  /** Where a server is by the coordinator's newest word, asked for once. */
  async #addressOf(id: string): Promise<string | undefined> {
    const { signal } = this.#closed
    this.#newest ??= fetchGrid(this.#dir, { identity: this.#identity, timeoutMs: againTimeoutMs, signal }).then(
      ({ grid, pins }) => {
        this.#checkSame(pins)
        return grid
      },
    )
    const grid = await this.#newest.catch(() => undefined)
    return grid?.servers.find((server) => server.id === id)?.address
  }

  #look(): void {
    this.#looking ??= this.#lookNow()
      // Asked again next time; but that the coordinator refuses this machine, or that nothing can be kept, the user must know.
      .catch((error: unknown) => this.#tellOf(error))
      .finally(() => {
        this.#looking = undefined
      })
  }

  async #lookNow(): Promise<void> {
    // Whatever is wrong with what is on disk, keys that are revoked must be heard of.
    await this.#followIdentity().catch((error: unknown) => this.#tellOf(error))
    const { signal } = this.#closed
    const { grid, pins, warnings, offer } = await fetchGrid(this.#dir, { identity: this.#identity, signal })
    signal.throwIfAborted()
    this.#checkSame(pins)
    this.#revoked.add(pins.revoked)
    this.#newest = Promise.resolve(grid)
    for (const warning of warnings) this.#tell(warning)
    if (offer && offer.violations.length === 0 && !offer.refused) this.#tell(waitingText(offer))
    const before = this.#shape()
    this.#grid = grid
    this.#pins = pins
    if (this.#shape() !== before) this.#onChange?.()
  }

  /** The profile may have left the grid and joined another meanwhile, where nothing of what is open belongs. Throws ERR_CONFLICT. */
  #checkSame({ gridId }: Pins): void {
    if (gridId === this.#pins.gridId) return
    throw new HoldfastError(
      "ERR_CONFLICT",
      "This profile is a member of another grid since this was opened. What is open goes on with the grid of before; open it again.",
    )
  }

  /**
   * Takes the certificate that another process renewed, or renews it when that is due. Throws ERR_CONFLICT for another member's, and what
   * loading one throws, as for one of another key, for which the grant is not.
   */
  async #followIdentity(): Promise<void> {
    const { keyPem, caPem, memberId } = this.#identity // the key may be sealed on disk
    const present = await loadIdentity(this.#dir, Date.now(), keyPem)
    if (present.caPem !== caPem || present.memberId !== memberId)
      throw new HoldfastError(
        "ERR_CONFLICT",
        "This profile joined a grid anew since this was opened. What is open goes on as the member of before; open it again.",
      )
    const identity = await this.#renewed(present)
    this.#warnOfEnd(identity)
    if (this.#closed.signal.aborted || identity.certPem === this.#identity.certPem) return
    this.#identity = identity
    for (const transport of this.#transports) transport.renew(identity)
  }

  async #renewed(present: Identity): Promise<Identity> {
    const nowMs = Date.now()
    if (Math.abs(nowMs - this.#renewedMs) < renewEveryMs) return present
    this.#renewedMs = nowMs
    return renewIdentity(this.#dir, present).catch(() => present)
  }

  #warnOfEnd(identity: Identity): void {
    const nowMs = Date.now()
    if (!expiresSoon(identity, nowMs, warnBeforeMs) || Math.abs(nowMs - this.#warnedMs) < warnEveryMs) return
    this.#warnedMs = nowMs
    if (!this.#closed.signal.aborted) this.#now.onCertificateEnding?.(identity.notAfterMs)
  }

  /** All that `place` depends on. */
  #shape(): string {
    const servers = this.#standings().map(({ server, ...standing }) => [server.id, server.labels, standing])
    return JSON.stringify([servers, absentVoters(this.#grid, this.#pins)])
  }

  #tellOf(error: unknown): void {
    if (isHoldfastError(error) && !isAbort(error)) this.#tell(error.message)
  }

  #tell(text: string): void {
    if (this.#closed.signal.aborted || this.#told.has(text) || this.#told.size >= mostTold) return
    this.#told.add(text)
    this.#now.onWarning?.(text)
  }
}

/** Whoever changes what it says all the time is not listened to for ever. */
const mostTold = 100

function waitingText({ grid, changes }: GridOffer): string {
  return (
    `The grid's coordinator changed what this profile relies on, while it is in use: ${changes.map(({ text }) => text).join("; ")}. ` +
    `Going on with the grid as it was until somebody says: holdfast grid accept ${grid.serial}, or: holdfast grid refuse ${grid.serial}`
  )
}

/** The server is away, or somebody else answers in its place. */
function isAbsence(error: unknown): boolean {
  if (isHoldfastError(error, "ERR_SERVER_UNREACHABLE")) return true
  return isHoldfastError(error, "ERR_REFUSED") && error.details.proven !== true
}
