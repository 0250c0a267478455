/**
 * Asking and telling the servers of a grid about one register, so that up to f of them may fail or lie.
 * Specification: docs/formats/register.md; why it is so: docs/decisions/0006-linearizable-reads-and-forks.md.
 */
import { type CryptoProvider, type Env, equal, HoldfastError, toHex, untilAborted } from "@holdfast/core"
import {
  type Backend,
  compareOrder,
  decodeRegisterValue,
  type MarkOptions,
  type ProposeOutcome,
  type RegisterOrder,
  type RegisterValue,
  registerHashOf,
  registerIdOf,
  whyRefused,
} from "@holdfast/protocol"
import { type Answer, type Answers, answerOf, codeOfRefusal, noQuorum } from "./answers.ts"
import { distinct } from "./batch.ts"
import { Changes } from "./changes.ts"
import { areMarksYoung, type Commitment, confirm, type Unheld } from "./register-confirm.ts"

/** The servers and how many of them may fail. */
export interface QuorumDeps {
  readonly env: Env
  readonly backends: readonly Backend[]
  /** Servers that have no vote and keep chunks: they take values too, to vouch for the chunks that these refer to. */
  readonly keepers?: readonly Backend[]
  readonly mode: "crash" | "byzantine"
}

/** A correctly signed value. */
export interface HeldValue {
  readonly bytes: Uint8Array
  readonly value: RegisterValue
  /** In hexadecimal. */
  readonly hash: string
}

/** When the result is certain, servers that have not answered yet have so long to do so. */
const graceMs = 500

/** How many of `servers` must answer: all but those that may fail or lie. */
export function quorumOf(servers: number, mode: "crash" | "byzantine"): number {
  const faulty = Math.floor((servers - 1) / (mode === "crash" ? 2 : 3))
  return servers - faulty
}

/**
 * A value that few places took, as the others had no room, would keep everybody from reading until they have: places take it as what
 * a removal needs, and what is removed or collected is read first.
 */
const bringsUp = { forRemoval: true }

/** Before every value there is. */
const noOrder: RegisterOrder = { epoch: 0, sequence: 0 }

function topOf(values: readonly (HeldValue | undefined)[]): RegisterOrder {
  return values.reduce<RegisterOrder>(
    (top, held) => (held && compareOrder(held.value, top) > 0 ? held.value : top),
    noOrder,
  )
}

function isSame(a: RegisterOrder, b: RegisterOrder): boolean {
  return compareOrder(a, b) === 0
}

/** Decodes and verifies a value. Throws as decodeRegisterValue. */
export async function decodeHeld(crypto: CryptoProvider, bytes: Uint8Array): Promise<HeldValue> {
  return { bytes, value: await decodeRegisterValue(crypto, bytes), hash: toHex(registerHashOf(bytes)) }
}

/** What the servers hold of one register, as far as they have said. */
export class Survey {
  readonly #deps: QuorumDeps
  readonly #publicKey: Uint8Array
  readonly #needed: number
  readonly #votes = new Map<Backend, HeldValue | undefined>()
  readonly #problems = new Map<Backend, Answer>()
  readonly #changes = new Changes()
  readonly #offered = new Map<Backend, RegisterOrder>() // what was last offered to a server
  readonly #asking = new Set<Backend>()
  readonly #signal: AbortSignal | undefined
  #offering = 0
  #heals = false

  private constructor(deps: QuorumDeps, publicKey: Uint8Array, signal: AbortSignal | undefined) {
    this.#deps = { ...deps } // the servers of now, whatever comes or goes meanwhile
    this.#signal = signal
    this.#publicKey = publicKey
    this.#needed = quorumOf(deps.backends.length, deps.mode)
  }

  /** Asks every server; resolves when a quorum has answered. It and what is asked later throw ERR_NO_QUORUM, the signal's reason. */
  static async start(deps: QuorumDeps, publicKey: Uint8Array, signal?: AbortSignal): Promise<Survey> {
    const survey = new Survey(deps, publicKey, signal)
    for (const backend of survey.#deps.backends) void survey.#ask(backend)
    await survey.#until(() => survey.#believed().length >= survey.#needed || survey.#asking.size === 0)
    if (survey.#believed().length >= survey.#needed) return survey
    throw noQuorum(survey.#believed().length, survey.#needed, survey.#answers())
  }

  /** The highest order that any server gave which is believed; before all others when none has a value. */
  get top(): RegisterOrder {
    return topOf(this.#believed().map(([, held]) => held))
  }

  /** Values of the top order, the one that most servers hold first; more than one when writers raced. */
  newest(): HeldValue[] {
    const votes = this.#believed().flatMap(([, held]) => held ?? [])
    const top = topOf(votes)
    const newest = new Map(votes.filter(({ value }) => isSame(value, top)).map((held) => [held.hash, held]))
    return [...newest.values()]
      .map((held) => ({ held, count: votes.filter(({ hash }) => hash === held.hash).length }))
      .sort((a, b) => b.count - a.count || (a.held.hash < b.held.hash ? -1 : 1))
      .map(({ held }) => held)
  }

  /** The newest value if a quorum holds it: no other of its sequence can ever be acknowledged. */
  stable(): HeldValue | undefined {
    const [first] = this.newest()
    const holders = [...this.#votes.values()].filter((held) => held?.hash === first?.hash).length
    return holders >= this.#needed ? first : undefined
  }

  /** Waits for all servers to answer, but not long. */
  hearRest(): Promise<void> {
    return this.#until(() => this.#asking.size === 0, { clock: this.#deps.env.clock, graceMs })
  }

  /**
   * Brings servers up to date until a quorum holds values of the top sequence, whichever. True when these are the
   * values that `newest` gave before; else it is to be called again. Throws ERR_NO_QUORUM.
   */
  async settle(): Promise<boolean> {
    const before = this.newest()
    const [first] = before
    if (!first) return true
    const order = first.value
    this.#heals = true
    for (const backend of this.#deps.backends) if (!this.#asking.has(backend)) this.#bringUp(backend, first)
    await this.#until(
      () =>
        this.#count(order) >= this.#needed ||
        compareOrder(this.top, order) > 0 ||
        this.#asking.size + this.#offering === 0,
    )
    const now = this.newest()
    if (isSame(this.top, order) && this.#count(order) < this.#needed)
      throw noQuorum(this.#count(order), this.#needed, { ...this.#answers(), what: "took", before: unsettled })
    return now.every(({ hash }) => before.some((held) => held.hash === hash)) // none of them goes but for a newer one
  }

  #until(...until: Parameters<Changes["until"]>): Promise<void> {
    return untilAborted(this.#changes.until(...until), this.#signal)
  }

  /** Servers that hold `order` or more. */
  #count(order: RegisterOrder): number {
    return this.#believed().filter(([, held]) => held && compareOrder(held.value, order) >= 0).length
  }

  /**
   * Servers that answered, with what they hold; without those, f at most, that hold what no honest server would have taken from
   * where others are. So neither a liar nor a place that was empty lets a writer stop everybody with a number out of reach.
   */
  #believed(): (readonly [Backend, HeldValue | undefined])[] {
    let votes = [...this.#votes]
    for (;;) {
      const top = topOf(votes.map(([, held]) => held))
      const [high, low] = [
        votes.filter(([, held]) => held && isSame(held.value, top)),
        votes.filter(([, held]) => held && !isSame(held.value, top)),
      ]
      const second = topOf(low.map(([, held]) => held))
      const before = low.find(([, held]) => held && isSame(held.value, second))?.[1]
      const isRefused = before && high.every(([, held]) => whyRefused(before.value, held!.value) !== undefined)
      if (!isRefused || high.length > this.#deps.backends.length - this.#needed) return votes
      for (const [backend, held] of high)
        this.#problems.set(backend, {
          server: backend.id,
          why: `it holds what nobody else would take: ${whyRefused(before.value, held!.value)}`,
        })
      votes = votes.filter((vote) => !high.includes(vote))
    }
  }

  async #ask(backend: Backend): Promise<void> {
    this.#asking.add(backend)
    try {
      const [bytes] = await backend.readRegisters([registerIdOf(this.#publicKey)], {
        ...(this.#signal && { signal: this.#signal }),
      })
      await this.#vote(backend, bytes)
    } catch (error) {
      this.#problems.set(backend, answerOf(backend.id, error))
    }
    this.#asking.delete(backend)
    const [first] = this.newest()
    if (this.#heals && first) this.#bringUp(backend, first)
    this.#changes.notify()
  }

  /** A server's word: a value of this register, or none. What is something else counts as no answer: a lie, or rot. */
  async #vote(backend: Backend, bytes: Uint8Array | undefined): Promise<void> {
    const held = bytes && (await decodeHeld(this.#deps.env.crypto, bytes))
    if (held && !equal(held.value.publicKey, this.#publicKey))
      throw new HoldfastError("ERR_CORRUPT", "it gave the value of another register")
    const before = this.#votes.get(backend)
    if (!before || (held && compareOrder(held.value, before.value) > 0)) this.#votes.set(backend, held)
  }

  /**
   * Offers `newest` to a server that has answered with less, once; also to one that did not answer, when it is needed. Never
   * while it is still asked: a server that comes back is tried with one call, and others meanwhile are not sent.
   */
  #bringUp(backend: Backend, newest: HeldValue): void {
    const order = newest.value
    if (!this.#votes.has(backend) && this.#count(order) >= this.#needed) return
    const held = this.#votes.get(backend)?.value
    const offered = this.#offered.get(backend)
    if ((held && compareOrder(held, order) >= 0) || (offered && compareOrder(offered, order) >= 0)) return
    this.#offered.set(backend, order)
    this.#offering++
    void offer(this.#deps.env.crypto, backend, newest, { ...bringsUp, ...(this.#signal && { signal: this.#signal }) })
      .then((answer) => this.#vote(backend, typeof answer === "object" ? answer.bytes : newest.bytes))
      .catch((error) => void this.#problems.set(backend, answerOf(backend.id, error)))
      .finally(() => {
        this.#offering--
        this.#changes.notify()
      })
  }

  #answers(): Answers {
    return { answers: [...this.#problems.values()], servers: this.#deps.backends.length }
  }
}

/** What became of a proposal; places that did not vouch when too few do for what it refers to, which is to be marked anew. */
export type Proposal = "taken" | "lost" | Unheld

/**
 * Proposes a value to all servers. Taken when a quorum accepted it and enough places vouch for each chunk of its commit;
 * lost when another value was there first. Throws ERR_NO_QUORUM, and the signal's reason.
 */
export async function propose(deps: QuorumDeps, value: HeldValue, commitment: Commitment): Promise<Proposal> {
  const { env, backends, keepers = [], mode } = deps
  const { batch, patterns, happy, signal } = commitment
  const options = { ...batch.options, ...(signal && { signal }) }
  const isHeld = areMarksYoung(commitment, [...backends, ...keepers], env.clock.nowMs())
  const unheld = isHeld ? undefined : await confirm(value.value.publicKey, commitment)
  if (unheld) return unheld
  const needed = quorumOf(backends.length, mode)
  const problems: Answer[] = []
  const keeperProblems: Answer[] = []
  const changes = new Changes()
  const [vouching, gone] = [new Set<Backend>(), new Set<Backend>()]
  let [accepted, lost, refused, pending, vouches] = [0, 0, 0, backends.length, keepers.length]
  const note = (backend: Backend, answer: Offered) => {
    if (answer === "vouched") vouching.add(backend)
    if (answer === "gone") gone.add(backend)
  }
  const count = (backend: Backend, answer: Offered) => {
    if (answer === "gone") refused++
    else if (typeof answer === "object") lost++
    else accepted++
    note(backend, answer)
  }
  for (const backend of backends)
    void offer(env.crypto, backend, value, options)
      .then(
        (answer) => count(backend, answer),
        (error) => void problems.push(answerOf(backend.id, error)),
      )
      .finally(() => {
        pending--
        changes.notify()
      })
  for (const backend of keepers)
    void offer(env.crypto, backend, value, options)
      .then(
        (answer) => note(backend, answer),
        (error) => void keeperProblems.push(answerOf(backend.id, error)),
      )
      .finally(() => {
        vouches--
        changes.notify()
      })
  const isTaken = () =>
    accepted >= needed && patterns.every((pattern) => distinct(pattern, (backend) => vouching.has(backend)) >= happy)
  const isLost = () => lost > 0 && accepted + refused + pending < needed
  await untilAborted(
    changes.until(() => pending + vouches === 0 || isTaken() || isLost()),
    signal,
  )
  if (isTaken()) {
    await changes.until(() => pending === 0, { clock: env.clock, graceMs })
    return "taken"
  }
  if (accepted < needed && lost > 0) return "lost"
  if (accepted + refused >= needed) {
    const marked = new Set(patterns.flat().map(({ backend }) => backend))
    const silent = [...marked].filter((backend) => !vouching.has(backend) && !gone.has(backend))
    return { gone: [...gone], silent, answers: [...problems, ...keeperProblems] }
  }
  throw noQuorum(accepted, needed, {
    answers: problems,
    others: keeperProblems,
    servers: backends.length,
    what: "took",
  })
}

/** A server's answer to a proposal: taken, with or without its word for the batch; marks gone; or the value held instead. */
type Offered = "accepted" | "vouched" | "gone" | HeldValue

/**
 * Proposes `newest` to one server. A refusal only counts with a value that could have come first: signed by the same key, not
 * older, and another one. All else throws, so that a server which lies cannot make anybody try again for ever.
 */
async function offer(
  crypto: CryptoProvider,
  backend: Backend,
  newest: HeldValue,
  options: Partial<MarkOptions> = {},
): Promise<Offered> {
  const [outcome] = await backend.proposeRegisters([newest.bytes], options)
  if (outcome?.accepted) return outcome.vouches ? "vouched" : "accepted"
  if (outcome?.marksGone) return "gone"
  const held = await currentOf(crypto, outcome)
  const isOther = held && equal(held.value.publicKey, newest.value.publicKey) && held.hash !== newest.hash
  if (isOther && compareOrder(held.value, newest.value) >= 0) return held
  throw new HoldfastError(codeOfRefusal(outcome?.code), outcome?.message ?? "no answer")
}

async function currentOf(crypto: CryptoProvider, outcome: ProposeOutcome | undefined): Promise<HeldValue | undefined> {
  if (!outcome || outcome.accepted || !outcome.current) return undefined
  return decodeHeld(crypto, outcome.current).catch(() => undefined)
}

const unsettled =
  "The newest version was begun by a writer that did not end, and too few servers take it now to make it certain."
