/** What servers said instead of doing what they were asked: told once for all that said the same, with their names together. */
import { HoldfastError, isHoldfastError } from "@holdfast/core"

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
  answers: readonly { readonly isQuota: boolean }[],
  { reached, happy }: { readonly reached: number; readonly happy: number },
): { readonly code: "ERR_QUOTA_EXCEEDED" | "ERR_NOT_ENOUGH_SERVERS"; readonly advice: string } {
  if (reached + answers.filter(({ isQuota }) => isQuota).length < happy)
    return { code: "ERR_NOT_ENOUGH_SERVERS", advice: "Bring servers back, free space, or add servers, then repeat." }
  const advice =
    "Remove what you do not need and run `holdfast gc` a day later, or ask the provider for more, then repeat."
  return { code: "ERR_QUOTA_EXCEEDED", advice }
}

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
  const refused = answers.filter(({ code }) => code === "ERR_REFUSED")
  const isUs = refused.some(({ refusesUs }) => refusesUs)
  if (!isUs && servers - new Set(refused.map(({ server }) => server)).size >= needed) return undefined
  const others = isUs ? answers.filter(({ code }) => code !== "ERR_REFUSED") : []
  return new HoldfastError("ERR_REFUSED", `Servers refuse this. ${tellAnswers([...refused, ...others])}.`, {
    refused: refused.map(({ server }) => server),
    ...details,
  })
}
