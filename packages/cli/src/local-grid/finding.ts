/** What `holdfast doctor` found: one line each, with what to do when it is not well. */

/** One thing that was looked at. */
export interface Finding {
  readonly check: string
  readonly ok: boolean
  readonly message: string
  /** What to do about it; of what is well, what would make it better. */
  readonly mend?: string
}

/** It is as it should be. */
export function good(check: string, message: string): Finding {
  return { check, ok: true, message }
}

/** It is as it was chosen, and `mend` says what would make it better. */
export function hint(check: string, message: string, mend: string): Finding {
  return { check, ok: true, message, mend }
}

/** It is not, and `mend` says what to do. */
export function bad(check: string, message: string, mend: string): Finding {
  return { check, ok: false, message, mend }
}

/** Looks; whatever is thrown is what is wrong. */
export async function attempt(check: string, work: () => Promise<string>, mend: string): Promise<Finding> {
  try {
    return good(check, await work())
  } catch (error) {
    return bad(check, error instanceof Error ? error.message : String(error), mend)
  }
}
