/** What servers said instead of doing what they were asked: told once for all that said the same, with their names together. */
import { HoldfastError, isHoldfastError } from "@holdfast/core"

/** Why one server did not do it. */
export interface Answer {
  readonly server: string
  readonly why: string
  /** Of the error; absent of what was no error of ours. */
  readonly code?: string
}

/** The answer of a server whose call failed. */
export function answerOf(server: string, error: unknown): Answer {
  const why = error instanceof Error ? error.message : String(error)
  return { server, why, ...(isHoldfastError(error) && { code: error.code }) }
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

/** The error when servers refused, so that those left are too few for `needed`; undefined when other reasons decide. */
export function refusedByServers(
  answers: readonly Answer[],
  { servers, needed, details = {} }: { servers: number; needed: number; details?: Readonly<Record<string, unknown>> },
): HoldfastError | undefined {
  const refused = answers.filter(({ code }) => code === "ERR_REFUSED")
  if (servers - new Set(refused.map(({ server }) => server)).size >= needed) return undefined
  return new HoldfastError("ERR_REFUSED", `Servers refuse this. ${tellAnswers(refused)}.`, {
    refused: refused.map(({ server }) => server),
    ...details,
  })
}
