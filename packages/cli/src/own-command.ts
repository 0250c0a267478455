/** How this command starts itself anew, as for the parts of a local grid. */
import { isSea } from "node:sea"

/** The program and its first words: Node with the same flags and the script, or the single executable, which is both. */
export function ownCommand(): readonly [program: string, ...words: string[]] {
  return isSea() ? [process.execPath] : [process.execPath, ...process.execArgv, process.argv[1]!]
}
