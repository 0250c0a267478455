/** What an upload leaves out because something else is where it should go: when it is looked at, and when it is committed. */
import type { HoldfastError } from "@holdfast/core"
import type { Change, Item, NamedChange, Writer } from "../file-system.ts"
import type { LocalItem } from "./local.ts"
import type { Problem } from "./problem.ts"
import type { TransferTotals } from "./totals.ts"

/** Why a local folder, with all in it, cannot come where something else is; undefined when it can. */
export function barOf(
  { local }: LocalItem,
  existing: Item,
  { writer, mirror = false }: { readonly writer: Writer; readonly mirror: boolean | undefined },
): Problem | undefined {
  const { kind } = existing.entry
  const leftOut = `"${local}" was left out with all in it:`
  // Whose it is may be another's.
  if (kind === "junction" || (kind === "file" && writer.contentOf(existing) === undefined))
    return {
      path: local,
      code: "ERR_ALREADY_EXISTS",
      message: `${leftOut} a link of this name is there. Store it by the link's own place, or remove the link first.`,
    }
  if (kind === "directory" || mirror) return undefined
  return {
    path: local,
    code: "ERR_NOT_A_DIRECTORY",
    message: `${leftOut} a ${kind} of this name is there. Remove it first.`,
  }
}

/** How an upload commits. */
export interface CommitRestOptions {
  readonly totals: TransferTotals
  readonly onProblem: (problem: Problem) => void
  /** The upload goes on. */
  readonly isPart?: boolean
}

/**
 * Commits `changes`. What others put in the way since the tree was looked at, or took away, is reported and taken off the totals, and
 * is no reason to lose the rest.
 */
export async function commitRest(
  writer: Writer,
  changes: readonly Change[],
  { totals, onProblem, isPart = false }: CommitRestOptions,
): Promise<void> {
  const barred = new Map<string, readonly [NamedChange, HoldfastError]>() // each once, though a lost race tells again
  const keyOf = (path: readonly string[]) => path.join("/")
  const onBarred = (change: NamedChange, error: HoldfastError) => void barred.set(keyOf(change.path), [change, error])
  await writer.commit(changes, { isPart, onBarred })
  for (const [key, [{ kind, path }, { code, message }]] of barred) {
    if (kind === "directory") totals.directories--
    else if (kind === "symlink") totals.symlinks--
    else totals.files--
    if (path.some((_, depth) => depth > 0 && barred.has(keyOf(path.slice(0, depth))))) continue // told with its folder
    const what = kind === "directory" ? `"${key}" was left out with all in it` : `"${key}" was left out`
    onProblem({ path: key, code, message: `${what}: ${message}` })
  }
}
