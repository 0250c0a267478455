/** What servers said instead of doing what they were asked: told once for all that said the same, with their names together. */
import { type ErrorCode, HoldfastError, isHoldfastError } from "@holdfast/core"
import type { MarkOutcome, ProposeRefusal, PutOutcome } from "@holdfast/protocol"

/** Why one server did not do it. */
export interface Answer {
  readonly server: string
  readonly why: string
  /** Of the error; absent of what was no error of ours. */
  readonly code?: string
  /** It refuses our certificate, and so whatever we ask. */
  readonly refusesUs?: boolean
}

/** The answer of a server whose call failed. */
export function answerOf(server: string, error: unknown): Answer {
  const why = error instanceof Error ? error.message : String(error)
  if (!isHoldfastError(error)) return { server, why }
  return { server, why, code: error.code, ...(error.details["ofCertificate"] === true && { refusesUs: true }) }
}

type RefusalWord = ProposeRefusal | Extract<PutOutcome | MarkOutcome, { ok: false }>["code"]

const codesOfWords: Partial<Record<RefusalWord, ErrorCode>> = {
  quota: "ERR_QUOTA_EXCEEDED",
  full: "ERR_SERVER_FULL",
  refused: "ERR_REFUSED",
  moved: "ERR_MOVED",
}

/** The code of an error for why a place did not take something. */
export function codeOfRefusal(word: RefusalWord | undefined): ErrorCode {
  return (word && codesOfWords[word]) ?? "ERR_REMOTE"
}

/** The answer of a server that did not take a share, a mark or a value. */
export function refusalOf(
  server: string,
  { message, code }: { readonly message: string; readonly code?: RefusalWord | undefined },
): Answer {
  return { server, why: message, code: codeOfRefusal(code) }
}

/** All answers in a sentence: `n1, n2: they are full; n3: it refused the connection`. */
export function tellAnswers(answers: readonly Answer[]): string {
  const groups = new Map<string, { readonly why: string; readonly servers: string[] }>()
  for (const { server, why } of answers) {
    const own = (why.startsWith(`${server}: `) ? why.slice(server.length + 2) : why).replace(/\.$/, "")
    const shape = own.replaceAll(server, "\0") // the same but for the server's own name
    const group = groups.get(shape)
    if (!group) groups.set(shape, { why: own, servers: [server] })
    else if (!group.servers.includes(server)) group.servers.push(server)
  }
  return [...groups]
    .map(([shape, { why, servers }]) =>
      servers.length === 1 ? `${servers[0]}: ${why}` : `${servers.sort().join(", ")}: ${shape.replaceAll("\0", "it")}`,
    )
    .join("; ")
}

/** What too few servers did. */
export interface Shortfall {
  readonly servers: number
  readonly needed: number
  /** How many did it; 0 unless told. */
  readonly reached?: number
  readonly details?: Readonly<Record<string, unknown>>
}

/** Why too few servers took something: its code, and what to do. */
export function shortageOf(
  answers: readonly Answer[],
  { reached, happy }: { readonly reached: number; readonly happy: number },
): { readonly code: "ERR_QUOTA_EXCEEDED" | "ERR_NOT_ENOUGH_SERVERS"; readonly advice: string } {
  const limited = answers.filter(({ code }) => code === "ERR_QUOTA_EXCEEDED")
  if (limited.length === 0 || reached + new Set(limited.map(({ server }) => server)).size < happy)
    return { code: "ERR_NOT_ENOUGH_SERVERS", advice: "Bring servers back, free space, or add servers, then repeat." }
  const advice =
    "Remove what you do not need and run `holdfast gc` a day later, or ask the provider for more, then repeat."
  return { code: "ERR_QUOTA_EXCEEDED", advice }
}

/** What servers refuse for good: bringing others back would change nothing. */
const refusals = { ERR_REFUSED: "Servers refuse this.", ERR_MOVED: "Places say that the volume has moved." } as const

/**
 * The error when servers refused, so that those left are too few for `needed`; undefined when other reasons decide. One that
 * refuses our certificate decides for those that gave no answer too: a revocation ends connections, and reaches one server
 * after another.
 */
export function refusedByServers(
  answers: readonly Answer[],
  { servers, needed, reached = 0, details = {} }: Shortfall,
): HoldfastError | undefined {
  if (reached >= needed) return undefined
  for (const code of ["ERR_REFUSED", "ERR_MOVED"] as const) {
    const refused = answers.filter((answer) => answer.code === code)
    if (refused.length === 0) continue // there are too few servers for other reasons, or at all
    const isUs = refused.some(({ refusesUs }) => refusesUs)
    if (!isUs && servers - new Set(refused.map(({ server }) => server)).size >= needed) continue
    const others = isUs ? answers.filter((answer) => answer.code !== code) : []
    const message = `${refusals[code]} ${tellAnswers([...refused, ...others])}.`
    return new HoldfastError(code, message, { refused: refused.map(({ server }) => server), ...details })
  }
  return undefined
}

/** What stood in the way of a quorum. */
export interface Answers {
  readonly answers: readonly Answer[]
  /** Of servers that have no vote. */
  readonly others?: readonly Answer[]
  /** How many have one. */
  readonly servers: number
  /** What too few did. */
  readonly what?: "answered" | "took"
  /** A sentence that comes first. */
  readonly before?: string
}

/** The error when too few of the servers that keep registers answered, or took a value. */
export function noQuorum(reached: number, needed: number, answered: Answers): HoldfastError {
  const { answers, others = [], servers, what = "answered", before } = answered
  const all = [...answers, ...others]
  const details = { reached, needed, failures: all.map(({ server, why }) => `${server}: ${why}`) }
  const refused = refusedByServers(answers, { servers, needed, reached, details })
  if (refused) return refused
  const { code, advice } = shortageOf(answers, { reached, happy: needed })
  const isQuota = code === "ERR_QUOTA_EXCEEDED"
  return new HoldfastError(
    isQuota ? code : "ERR_NO_QUORUM",
    `${before ? `${before} ` : ""}Only ${reached} of the ${needed} servers needed ${what === "took" ? "took it" : "answered"} ` +
      `(${tellAnswers(all)}). ${isQuota ? advice : adviceFor(what)}`,
    details,
  )
}

function adviceFor(what: Answers["what"]): string {
  return what === "took"
    ? "Bring servers back, or free space on them, then try again."
    : "Bring servers back, then try again."
}
