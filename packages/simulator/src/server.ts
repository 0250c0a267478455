/**
 * A storage node of the simulated world: the real storage engine over a simulated disk. It crashes between any two operations
 * of its disk, and recovers when it starts again.
 */
import { type Engine, openEngine, type TenantBackend } from "@holdfast/backends/node"
import type { Clock, CryptoProvider } from "@holdfast/core"
import type { ChunkId, RegisterId } from "@holdfast/protocol"
import { DeadProcess, type Process, SimulatedDisk } from "./disk.ts"
import type { Random } from "./random.ts"
import { type SimulatedTime, skewedClock } from "./time.ts"

const folder = "/node"
const indexPath = `${folder}/index.sqlite`
const tenantName = "tenant"

/** What a server is made of. */
export interface ServerParts {
  readonly id: string
  readonly time: SimulatedTime
  readonly random: Random
  readonly crypto: CryptoProvider
  readonly skewMs: number
  readonly drift: number
  /** Hears of what should never happen. */
  readonly onBug: (error: unknown) => void
}

interface Incarnation extends Process {
  isDead: boolean
  /** Dies after so many more steps. */
  stepsLeft: number
  engine?: Engine
  backend?: TenantBackend
}

/** One server. */
export class SimulatedServer {
  readonly id: string
  readonly disk: SimulatedDisk
  readonly clock: Clock
  readonly #parts: ServerParts
  #current: Incarnation | undefined
  crashes = 0

  constructor(parts: ServerParts) {
    this.id = parts.id
    this.#parts = parts
    this.disk = new SimulatedDisk(parts.time, parts.random.fork("disk"))
    const { time, skewMs, drift } = parts
    this.clock = skewedClock(time, { skewMs, drift, isAlive: () => true })
  }

  /** True when a process runs, though it may still be starting. */
  get isRunning(): boolean {
    return this.#current !== undefined
  }

  /** What serves requests; undefined while it is down or starting. */
  get backend(): TenantBackend | undefined {
    return this.#current?.backend
  }

  /** Starts a process, which first recovers; nothing when one runs. */
  start(): void {
    if (this.#current) return
    const incarnation: Incarnation = {
      isDead: false,
      stepsLeft: Number.POSITIVE_INFINITY,
      step: () => {
        if (--incarnation.stepsLeft < 0) this.crash()
      },
    }
    this.#current = incarnation
    this.#parts.time.tell(`${this.id} starts`)
    this.#open(incarnation).catch((error: unknown) => {
      if (incarnation.isDead || error instanceof DeadProcess) return
      this.#parts.time.tell(`${this.id} cannot start: ${messageOf(error)}`)
      if (!this.disk.isFull) this.#parts.onBug(error)
      this.crash()
    })
  }

  /** Dies at once. */
  crash(): void {
    const incarnation = this.#current
    if (!incarnation) return
    incarnation.isDead = true
    this.#current = undefined
    this.crashes++
    this.#parts.time.tell(`${this.id} crashes`)
    this.disk.crash()
  }

  /** Dies before, between or after the next few operations of its disk. */
  crashAfter(steps: number): void {
    if (this.#current) this.#current.stepsLeft = steps
  }

  /** Looks through all that is stored and drops what is rotten. */
  async scrub(): Promise<void> {
    const engine = this.#current?.engine
    const report = await engine?.scrub()
    if (report) this.#parts.time.tell(`${this.id} scrubbed ${report.shares} shares, ${report.rot.length} rotten`)
  }

  /** Flips a bit in a file or, if `registers` may be hit, in the index; what its checksums must find. */
  rot(registers: boolean): void {
    const { random } = this.#parts
    const table = registers && random.chance(0.3) ? "registers" : "small"
    if (random.chance(0.5) && this.disk.rotFile()) return
    const database = this.disk.database(indexPath)
    const column = table === "small" ? "bytes" : "value"
    const key = table === "small" ? "row" : "register"
    const rows = this.#query<{ key: number | Uint8Array; bytes: Uint8Array }>(
      `SELECT ${key} AS key, ${column} AS bytes FROM ${table} ORDER BY ${key}`,
    )
    if (!database || rows.length === 0) return
    const { key: at, bytes } = random.pick(rows)
    const rotten = bytes.slice()
    rotten[random.between(0, rotten.length - 1)]! ^= 1 << random.between(0, 7)
    database.tamper(`UPDATE ${table} SET ${column} = ? WHERE ${key} = ?`, rotten, at)
  }

  /** Every share of a chunk that lies on the disk, whether the server runs or not. */
  storedShares(id: ChunkId): Uint8Array[] {
    const rows = this.#query<{ row: number; file: string | null }>("SELECT row, file FROM shares WHERE chunk = ?", id)
    return rows.flatMap(({ row, file }) => {
      if (file !== null) return this.disk.peek(`${folder}/shares/${tenantName}/${file}`) ?? []
      return this.#query<{ bytes: Uint8Array }>("SELECT bytes FROM small WHERE row = ?", row).map(({ bytes }) => bytes)
    })
  }

  /** The value of a register that lies on the disk. */
  storedRegister(id: RegisterId): Uint8Array | undefined {
    return this.#query<{ value: Uint8Array }>("SELECT value FROM registers WHERE register = ?", id)[0]?.value
  }

  #query<T>(sql: string, ...values: (Uint8Array | number)[]): T[] {
    const database = this.disk.database(indexPath)
    const isMade = database?.query("SELECT 1 FROM sqlite_master WHERE name = 'registers'").length === 1
    return isMade ? database.query<T>(sql, ...values) : []
  }

  async #open(incarnation: Incarnation): Promise<void> {
    const { crypto } = this.#parts
    const disk = this.disk.attach(incarnation)
    const engine = await openEngine({ dir: folder, crypto, clock: this.clock, reservedBytes: 0, disk })
    const backend = await engine.tenant(tenantName)
    if (incarnation.isDead) return
    incarnation.engine = engine
    incarnation.backend = backend
    const { adopted = 0, removed = 0 } = engine.recovery ?? {}
    this.#parts.time.tell(`${this.id} serves; recovery adopted ${adopted}, removed ${removed}`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
