/**
 * A storage node of the simulated world: the real client and endpoints of the storage protocol, byte for byte, and the real
 * storage engine over a simulated disk. It crashes between any two operations of its disk, and recovers when it starts again.
 */

import { type Engine, type Namespace, openEngine } from "@holdfast/backends/directory"
import { createNodeBackend, type NodeAnswer, type NodeCall } from "@holdfast/backends/storage-node"
import { concat, HoldfastError, isHoldfastError, toHex } from "@holdfast/core"
import { GrantReader, type Peer } from "@holdfast/node/access"
import { failureAnswer, routes, saidIn } from "@holdfast/node/routes"
import type { AccountId, Backend, ChunkId, RegisterId } from "@holdfast/protocol"
import { WrongClock } from "./clocks.ts"
import { DeadProcess, type DiskCopy, type Process, SimulatedDisk } from "./disk.ts"
import { changeFiles, changeRows } from "./intrusions.ts"
import { Ledger } from "./ledger.ts"
import type { Random } from "./random.ts"
import { addHolding, type Holding, type Storage, type StorageParts, type Visitor } from "./storage.ts"

const folder = "/node"
const indexPath = `${folder}/index.sqlite`
/** The least that there is. */
const dropGraceMs = 7 * 86_400_000
/** Somebody else's, beside the place's folder. */
const outside = "/outside/thesis.tex"
const outsideBytes = 5000
const tenantName = "tenant"
const mostWaitMs = 5_000

interface Incarnation extends Process {
  isDead: boolean
  /** Dies after so many more steps. */
  stepsLeft: number
  engine?: Engine
  namespace?: Namespace
}

/** One server. */
export class SimulatedServer implements Storage {
  readonly id: string
  readonly kind = "node"
  readonly disk: SimulatedDisk
  readonly #clock: WrongClock
  readonly #grants = new GrantReader()
  readonly #parts: StorageParts
  readonly #ledger: Ledger
  #current: Incarnation | undefined
  #copy: DiskCopy | undefined
  /** Somebody may have changed what lies here, or in a copy of it. */
  #isIntruded = false
  /** A file of somebody else's lies beside it. */
  #isWatched = false
  /** As long as nothing happens on the disk. */
  #held: { readonly state: string; readonly holdings: ReadonlyMap<string, Holding> } | undefined
  crashes = 0

  constructor(parts: StorageParts) {
    this.id = parts.id
    this.#parts = parts
    this.disk = new SimulatedDisk(parts.time, parts.random.fork("disk"))
    this.#clock = new WrongClock(parts.time, parts)
    this.#ledger = new Ledger(parts.crypto, this.#clock)
  }

  get isRunning(): boolean {
    return this.#current !== undefined
  }

  get isReady(): boolean {
    return this.#current?.namespace !== undefined
  }

  get isFull(): boolean {
    return this.disk.isFull
  }

  set isFull(isFull: boolean) {
    this.disk.isFull = isFull
  }

  get operationMs(): number {
    return this.disk.operationMs
  }

  set operationMs(operationMs: number) {
    this.disk.operationMs = operationMs
  }

  connect({ caller, device }: Visitor): Backend {
    const { network } = this.#parts
    const peer: Peer = { memberId: caller.id, role: "client", tenant: tenantName, keyId: device.keyId }
    return createNodeBackend({
      id: this.id,
      address: this.id,
      grant: device.grant,
      request: async ({ body, signal: _, ...call }) => {
        const bytes = concat(...body)
        const serve = () => this.#serve({ ...call, body: [bytes.slice()] }, peer)
        const tell = ({ status }: NodeAnswer) => String(status)
        const sizes = { bytes: bytes.length, bytesOf: ({ body }: NodeAnswer) => body.length }
        const answer = await network.call({ caller, server: this.id, name: call.endpoint, serve, tell, ...sizes })
        if (answer.body.length <= call.maxBytes) return answer
        throw new HoldfastError(
          "ERR_LIMIT",
          `The answer of ${this.id} to ${call.endpoint} is larger than can be right.`,
        )
      },
    })
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
      if (!this.disk.isFull && !(this.#isIntruded && isHoldfastError(error))) this.#parts.onBug(error)
      this.crash()
    })
  }

  crash(): void {
    const incarnation = this.#current
    if (!incarnation) return
    incarnation.isDead = true
    this.#current = undefined
    this.crashes++
    this.#parts.time.tell(`${this.id} crashes`)
    this.disk.crash()
    this.#parts.network.reset(this.id)
  }

  crashAfter(steps: number): void {
    if (this.#current) this.#current.stepsLeft = steps
  }

  async scrub(): Promise<void> {
    const engine = this.#current?.engine
    const report = await engine?.scrub()
    if (report) this.#parts.time.tell(`${this.id} scrubbed ${report.shares} shares, ${report.rot.length} rotten`)
  }

  rot(registers: boolean): void {
    const { random } = this.#parts
    const table = registers && random.chance(0.3) ? "registers" : "small"
    if (random.chance(0.5) && this.disk.rotFile(folder)) return
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

  intrude(random: Random): string {
    if (!this.#isWatched) this.disk.putOutside("outside", "thesis.tex", random.bytes(outsideBytes))
    this.#isWatched = true
    this.#isIntruded = true
    if (random.chance(0.25)) return changeFiles(this.disk, random, folder)
    const database = this.disk.database(indexPath)
    const isMade = database?.query("SELECT 1 FROM sqlite_master WHERE name = 'registers'").length === 1
    return isMade ? changeRows(database, random) : "nothing is made yet"
  }

  checkOutside(): void {
    if (this.#isWatched && this.disk.peek(outside)?.length !== outsideBytes)
      this.#parts.onBug(new Error(`${this.id} touched what is not its own`))
  }

  lose(): void {
    this.crash()
    this.disk.erase()
    this.#isWatched = false
  }

  jump(ms: number): void {
    this.#clock.jump(ms)
  }

  get behindMs(): number {
    return this.#clock.behindMs
  }

  backUp(): void {
    this.#copy = this.disk.copy()
  }

  restore(): void {
    this.crash()
    this.#isWatched = false
    if (this.#copy) this.disk.restore(this.#copy)
    else this.disk.erase()
  }

  brokenPromise(): Promise<string | undefined> {
    return this.#ledger.broken(this)
  }

  storedShares(id: ChunkId): Uint8Array[] {
    const rows = this.#query<{ row: number; file: string | null }>("SELECT row, file FROM shares WHERE chunk = ?", id)
    return rows.flatMap(({ row, file }) => {
      if (file !== null) return this.disk.peek(`${folder}/shares/${tenantName}/${file}`) ?? []
      return this.#query<{ bytes: Uint8Array }>("SELECT bytes FROM small WHERE row = ?", row).map(({ bytes }) => bytes)
    })
  }

  lastingShares(id: ChunkId): Uint8Array[] {
    return this.storedShares(id)
  }

  storedRegister(id: RegisterId): Uint8Array | undefined {
    return this.#query<{ value: Uint8Array }>("SELECT value FROM registers WHERE register = ?", id)[0]?.value
  }

  holdings(): ReadonlyMap<string, Holding> {
    const state = `${this.disk.operations} ${this.crashes}`
    if (this.#held?.state === state) return this.#held.holdings
    const holdings = new Map<string, Holding>()
    const rows = this.#query<{ chunk: Uint8Array; idx: number; id: Uint8Array | null }>(
      "SELECT s.chunk, s.idx, a.id FROM shares s LEFT JOIN marks m ON m.share = s.row LEFT JOIN accounts a USING (account)",
    )
    for (const { chunk, idx, id } of rows) addHolding(holdings, toHex(chunk), { index: idx, account: id && toHex(id) })
    this.#held = { state, holdings }
    return holdings
  }

  /** The bytes of shares and registers that an account alone pays for. */
  bytesOf(account: AccountId): number {
    const [shares] = this.#query<{ bytes: number | null }>(
      `SELECT sum(size) AS bytes FROM shares s WHERE NOT EXISTS (
        SELECT 1 FROM marks m JOIN batches b USING (batch) JOIN accounts a ON a.account = b.payer
        WHERE m.share = s.row AND a.id <> ?)`,
      account,
    )
    const [registers] = this.#query<{ bytes: number | null }>(
      `SELECT sum(length(r.value)) AS bytes FROM registers r WHERE NOT EXISTS (
        SELECT 1 FROM register_marks m JOIN accounts a ON a.account = m.payer
        WHERE m.tenant = r.tenant AND m.register = r.register AND a.id <> ?)`,
      account,
    )
    return (shares?.bytes ?? 0) + (registers?.bytes ?? 0)
  }

  /** How many marks there are for an account. */
  leftOf(account: AccountId): number {
    const count = (table: string) =>
      this.#query<{ count: number }>(
        `SELECT count(*) AS count FROM ${table} JOIN accounts USING (account) WHERE id = ?`,
        account,
      )[0]?.count ?? 0
    return count("marks") + count("register_marks") + count("kept")
  }

  /** The administrator says something of an account. */
  async takeStatement(statement: Uint8Array, account: AccountId): Promise<void> {
    await this.#current?.namespace?.backendOf({ account, roles: [] }).takeStatement(statement)
    this.#ledger.release(account)
  }

  /** Takes away what dropped accounts hold whose time is over. */
  async finishDrops(): Promise<void> {
    await this.#current?.engine?.finishDrops()
  }

  #query<T>(sql: string, ...values: (Uint8Array | number)[]): T[] {
    const database = this.disk.database(indexPath)
    const isMade = database?.query("SELECT 1 FROM sqlite_master WHERE name = 'registers'").length === 1
    return isMade ? database.query<T>(sql, ...values) : []
  }

  #serve(call: NodeCall, peer: Peer): Promise<NodeAnswer> | undefined {
    const incarnation = this.#current
    if (!incarnation?.namespace) return undefined
    const answer = this.#answer(incarnation.namespace, call, peer)
    return answer.then((result) => (incarnation.isDead ? new Promise(() => undefined) : result))
  }

  async #answer(
    namespace: Namespace,
    { endpoint, headers, maxBytes, body: [body = new Uint8Array()] }: NodeCall,
    peer: Peer,
  ): Promise<NodeAnswer> {
    const { liar, onBug } = this.#parts
    const route = routes[endpoint]
    try {
      if (!route) throw new HoldfastError("ERR_NOT_FOUND", "There is no such endpoint.")
      if (body.length > route.maxBytes) throw new HoldfastError("ERR_LIMIT", "The body is over the endpoint's limit.")
      const access = await this.#grants.accessOf(peer, headers.grant, namespace)
      const backend = this.#ledger.watch(namespace.backendOf(access), access)
      const wish = route.wishOf?.(body)
      const said = saidIn(headers)
      const context = wish ? { ...said, until: this.#after(wish.waitMs) } : said
      const answer = concat(...(await route.handle(liar?.wrap(backend) ?? backend, body, context)))
      return { status: 200, body: liar?.distort(answer, maxBytes) ?? answer }
    } catch (error) {
      if (error instanceof DeadProcess) throw error
      const { code, errcode } = error as { code?: unknown; errcode?: unknown }
      if (!isHoldfastError(error) && typeof code !== "string" && errcode === undefined) onBug(error)
      return failureAnswer(error)
    }
  }

  /** Aborts when a request has waited long enough; before the network gives it up. */
  #after(waitMs: number): AbortSignal {
    const over = new AbortController()
    this.#parts.time.after(Math.min(waitMs, mostWaitMs), () => over.abort())
    return over.signal
  }

  async #open(incarnation: Incarnation): Promise<void> {
    const { crypto, graceMs } = this.#parts
    const disk = this.disk.attach(incarnation)
    const clock = this.#clock.of(() => !incarnation.isDead)
    const engine = await openEngine({ dir: folder, crypto, clock, graceMs, dropGraceMs, reservedBytes: 0, disk })
    const { accounts } = this.#parts
    const namespace = await engine.tenant(tenantName, {
      placeId: this.id,
      ...(accounts && { accountQuotaBytes: accounts.quotaBytes, administrator: () => accounts.administrator }),
    })
    if (incarnation.isDead) return
    incarnation.engine = engine
    incarnation.namespace = namespace
    const { adopted = 0, removed = 0 } = engine.recovery ?? {}
    this.#parts.time.tell(`${this.id} serves; recovery adopted ${adopted}, removed ${removed}`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
