/**
 * What commands over many files or places do when some cannot be done: go on with the others, then end with one error and exit
 * code of its own, whatever the reasons were. docs/errors.md, Some of many.
 */
import { HoldfastError } from "@holdfast/core"
import { concernsOne, type Problem } from "@holdfast/fs/node"
import { advised } from "./advice.ts"

/** Does `work` for each of `items`; gives how often that went well. One alone throws its own error. */
export async function eachOf(
  items: readonly string[],
  work: (item: string) => Promise<void>,
  onProblem: (problem: Problem) => void,
): Promise<number> {
  let done = 0
  for (const item of items)
    try {
      await work(item)
      done++
    } catch (error) {
      if (items.length === 1 || !concernsOne(error)) throw error
      const { code, message } = advised(error)
      onProblem({ path: item, code, message })
    }
  return done
}

/**
 * Refuses a source that would end where an earlier one of the same command did, and take its place. Folders may be merged. What it gives
 * throws ERR_ALREADY_EXISTS.
 */
export function placesOfTheirOwn(): (place: string, options?: { readonly merges: boolean }) => void {
  const taken = new Map<string, boolean>()
  return (place, { merges } = { merges: false }) => {
    const before = taken.get(place)
    if (before === undefined) taken.set(place, merges)
    else if (!before || !merges)
      throw new HoldfastError(
        "ERR_ALREADY_EXISTS",
        `${place} is where something else of this command went. Name another destination for one of them.`,
      )
  }
}

const mostShown = 10

/** How a command that left something out ends. */
export interface Left {
  readonly problems: readonly Problem[]
  /** How many were done; without any, the first problem's code is that of the command. */
  readonly done: number
  /** `could not be stored`, and what others were. */
  readonly verb: string
  readonly details: Readonly<Record<string, unknown>>
}

/** The error at the end of a command that left something out; what was done stays done. */
export function incomplete({ problems, done, verb, details }: Left): HoldfastError {
  const [first] = problems
  const shown = problems.slice(0, mostShown).map(({ message }) => `  ${message}`)
  if (problems.length > mostShown) shown.push(`  and ${problems.length - mostShown} more`)
  const what = problems.length === 1 ? "One thing" : `${problems.length} things`
  return new HoldfastError(
    done === 0 ? first!.code : "ERR_INCOMPLETE",
    `${what} could not be ${verb}; ${done} ${done === 1 ? "other was" : "others were"}:`,
    { ...details, lines: shown, problems: problems.slice(0, 1000) },
  )
}
