/** The places of a store: they come and go while it is open, and each piece of work uses those that are there when it begins. */
import { type Clock, HoldfastError } from "@holdfast/core"
import { type Backend, type ChunkId, wrapBackend } from "@holdfast/protocol"
import { type Domain, type Domains, domainsIn } from "./domains.ts"
import { type PlacedServer, Placement } from "./placement.ts"
import type { Ranking } from "./ranking.ts"
import { createServer, type Server } from "./server.ts"

/** A place in use. */
interface Used {
  readonly server: Server
  readonly stay: Stay
}

/** A place of shares, with its calls gathered. */
interface Holder extends PlacedServer {
  readonly server: Server
}

/** The places of one store. The backends that it is given belong to it. */
export class Places {
  readonly #clock: Clock
  readonly #wrap: (backend: Backend) => Backend
  readonly #used = new Map<Backend, Used>() // by the backend as it was given
  readonly #leaving = new Map<Backend, Used>() // those whose last call has not ended
  #all: readonly Holder[] = []
  #holders: readonly Holder[] = [] // those that keep shares
  #placement = new Placement<Holder>([])
  #losses = new Map<"crash" | "byzantine", readonly Domain[]>()
  #domains = new Map<Backend, Domains>()

  /** `wrap` gives a backend as the store uses it. */
  constructor(
    servers: readonly PlacedServer[],
    { clock, wrap }: { readonly clock: Clock; readonly wrap: (backend: Backend) => Backend },
  ) {
    this.#clock = clock
    this.#wrap = wrap
    this.follow(servers)
  }

  /** All of them. */
  get all(): readonly Backend[] {
    return this.#all.map(({ backend }) => backend)
  }

  /** Those that keep shares. */
  get backends(): readonly Backend[] {
    return this.#holders.map(({ backend }) => backend)
  }

  /** Those that keep registers. */
  get voters(): readonly Backend[] {
    return this.#all.filter(({ keeps }) => keeps?.registers ?? true).map(({ backend }) => backend)
  }

  /** Those that keep shares and have no vote on registers. */
  get keepers(): readonly Backend[] {
    return this.#holders.filter(({ keeps }) => !(keeps?.registers ?? true)).map(({ backend }) => backend)
  }

  /** What a place would be lost with. */
  domainsOf(backend: Backend): Domains {
    return this.#domains.get(backend) ?? []
  }

  /** What may be lost at once: worked out once for the places that are there now. */
  domainsFor(mode: "crash" | "byzantine"): readonly Domain[] {
    const voters = this.#all.filter(({ keeps }) => keeps?.registers ?? true)
    const domains = this.#losses.get(mode) ?? domainsIn(this.#holders, voters, mode)
    this.#losses.set(mode, domains)
    return domains
  }

  /**
   * Uses these from now on. A backend that is among them again goes on as it is; one that is not is closed when its last call has ended,
   * and is not to be given again after that.
   */
  follow(servers: readonly PlacedServer[]): void {
    const given = new Set(servers.map(({ backend }) => backend))
    for (const [backend, used] of this.#used)
      if (!given.has(backend)) {
        this.#used.delete(backend)
        this.#leaving.set(backend, used)
        used.stay.end(() => this.#leaving.delete(backend))
      }
    this.#all = servers.map((given) => {
      const { server } = this.#use(given.backend)
      return { ...given, backend: server.backend, server }
    })
    this.#holders = this.#all.filter(({ keeps }) => keeps?.shares ?? true)
    this.#placement = new Placement(this.#holders)
    this.#losses = new Map()
    this.#domains = new Map(this.#all.map(({ backend, domains = [] }) => [backend, domains]))
  }

  /** The places of a chunk's shares, the best first, with their calls gathered. */
  ranked(id: ChunkId): Ranking<Server> {
    return this.#placement.ranking(id).map(({ server }) => server)
  }

  /** Closes all, also those that calls still keep open. */
  async close(): Promise<void> {
    await Promise.all([...this.#used.values(), ...this.#leaving.values()].map(({ stay }) => stay.close()))
  }

  #use(given: Backend): Used {
    const known = this.#used.get(given) ?? this.#leaving.get(given)
    if (known) {
      known.stay.goOn()
      this.#leaving.delete(given)
    }
    const used = known ?? this.#begin(given)
    this.#used.set(given, used)
    return used
  }

  #begin(given: Backend): Used {
    const stay = new Stay(given)
    return { server: createServer(this.#wrap(stay.backend), this.#clock), stay }
  }
}

/** A backend for as long as it is used. */
class Stay {
  /** The same, which fails what is asked after the end. */
  readonly backend: Backend
  readonly #given: Backend
  #open = 0
  #onClosing: (() => void) | undefined
  #closed: Promise<void> | undefined

  constructor(given: Backend) {
    this.#given = given
    this.backend = wrapBackend(given, async ({ send }) => {
      if (this.#onClosing) throw left(given.id)
      this.#open++
      try {
        return await send()
      } finally {
        this.#open--
        this.#closeWhenIdle()
      }
    })
  }

  /** Closes it when no call is under way, and says so; what is asked from now on fails. */
  end(onClosing: () => void): void {
    this.#onClosing = onClosing
    this.#closeWhenIdle()
  }

  /** It is used again, unless it is closed. */
  goOn(): void {
    this.#onClosing = undefined
  }

  /** Closes it now. */
  close(): Promise<void> {
    this.#closed ??= this.#given.close()
    return this.#closed
  }

  #closeWhenIdle(): void {
    if (!this.#onClosing || this.#open > 0) return
    this.#onClosing()
    this.close().catch(() => undefined) // what cannot be closed is not asked again either
  }
}

function left(server: string): HoldfastError {
  return new HoldfastError("ERR_SERVER_UNREACHABLE", `${server} is no place of this store any more.`, { server })
}
