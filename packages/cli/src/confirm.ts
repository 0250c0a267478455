/** The question before something that cannot be undone at once. */
import { HoldfastError, shownLine } from "@holdfast/core"
import type { Context } from "./context.ts"

/** What is asked, and what is said when nobody can be or the answer is no. */
export interface Confirmation {
  /** What is to be known before; more than one line where each may quote what comes from elsewhere. */
  readonly warning: string | readonly string[]
  readonly question: string
  /** What to type so that nothing is asked. */
  readonly insteadOfAsking: string
  readonly refusal: string
}

/**
 * True where somebody is there to be asked. What scripts have always done by name, and what past versions give back for a while, is
 * asked about there alone.
 */
export function isAsking({ stdin, isTerminal, json }: Pick<Context, "stdin" | "isTerminal" | "json">): boolean {
  return stdin.isTTY === true && isTerminal && !json
}

/** Throws ERR_INVALID_ARGUMENT where nobody can be asked, and ERR_ABORTED unless the user says yes. */
export async function confirm(
  { stdin, stderr, json, tell }: Pick<Context, "stdin" | "stderr" | "json" | "tell">,
  { warning, question, insteadOfAsking, refusal }: Confirmation,
): Promise<void> {
  const lines = [warning].flat().map((line) => line.trimEnd())
  if (!stdin.isTTY || json)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `${lines.map((line) => line.trim()).join(" ")} ${insteadOfAsking}`)
  tell(lines)
  const { createInterface } = await import("node:readline/promises")
  const prompt = createInterface({ input: stdin, output: stderr })
  const answer = await prompt.question(`${shownLine(question)} [y/N] `).finally(() => prompt.close())
  if (!/^y(es)?$/i.test(answer.trim())) throw new HoldfastError("ERR_ABORTED", refusal)
}
