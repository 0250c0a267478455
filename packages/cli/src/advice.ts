/** Which command helps after an error: libraries say what is wrong and name the remedy in `details.advice`, the words are here. */
import { type ErrorDetails, HoldfastError } from "@holdfast/core"

const advices: Readonly<Record<string, (details: ErrorDetails) => string>> = {
  check: () => '"holdfast check" takes it.',
  copy: () => "Use cp, look at the result, then rm.",
  forget: () => '"holdfast alias remove" forgets an alias.',
  "go-back": ({ tree }) =>
    `What was before is there: "holdfast snapshot list ${tree}", "holdfast history restore ${tree} VERSION".`,
  list: ({ parent }) => `"holdfast ls ${parent}" shows what does.`,
  "make-snapshot": ({ tree, snapshot }) => `"holdfast snapshot create ${tree} ${snapshot}" makes one.`,
  "new-words": () => '"holdfast recovery kit --new-words" makes one that words protect, and shows these once.',
  recursive: () => "rm -r removes it.",
  weaker: () => "Use --read or --verify, or --live where a folder is to be a tree of its own.",
}

/** `error` with the command that helps, where one does. */
export function advised(error: HoldfastError): HoldfastError {
  const { advice, ...details } = error.details
  const text = typeof advice === "string" && Object.hasOwn(advices, advice) ? advices[advice]!(details) : undefined
  if (text === undefined) return error
  return new HoldfastError(error.code, `${error.message} ${text}`, details, { cause: error.cause })
}
