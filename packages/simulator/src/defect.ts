/** What a deliberate defect is: a change of the sources, and what must find it. */
import type { RoleKind } from "./roles.ts"
import type { Shape } from "./world.ts"

/** One change of a source: a text that occurs exactly once, and what comes in its place. */
export interface Edit {
  /** Path from the root of the repository. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** A defect. */
export interface Defect {
  readonly name: string
  /** Worlds where it can be seen at all; any when absent. Seeds of others are passed over. */
  readonly where?: (shape: Shape) => boolean
  /** Roles that are played; the others cost time, and would find nothing. */
  readonly roles?: readonly RoleKind[]
  /** Somebody looks after the trees of all. */
  readonly caretaker?: boolean
  readonly edits: readonly Edit[]
  /** For what seeds show too seldom: what node is to run, which must fail with the defect. */
  readonly proof?: readonly string[]
}

/** A proof by the tests of a file whose names have these words. */
export function byTest(file: string, words: string): Pick<Defect, "proof"> {
  return { proof: ["--test", "--test-force-exit", "--test-name-pattern", words, file] }
}
