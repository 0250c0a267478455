/** What users hand in by files and standard input. */
import { readFile } from "node:fs/promises"
import { text as readAll } from "node:stream/consumers"
import { fromUtf8, HoldfastError } from "@holdfast/core"
import { localError, readSecretFile } from "@holdfast/core/node"
import type { Context } from "./context.ts"

/**
 * The first line of a file, or of stdin for `-`: a secret that is not on the command line. Throws ERR_EXPOSED when others may
 * read the file.
 */
export async function readSecret(file: string): Promise<string> {
  try {
    return fromUtf8(readSecretFile(file)).trim().split(/\r?\n/, 1)[0]!
  } catch (error) {
    throw localError(error, file)
  }
}

/** The JSON of a file, or of stdin for `-`. Throws ERR_BAD_FORMAT saying that it is not `expected`, ERR_IO. */
export async function readJsonInput({ stdin }: Context, file: string, expected: string): Promise<unknown> {
  const text = await (file === "-" ? readAll(stdin) : readFile(file, "utf8")).catch((error: unknown) => {
    throw localError(error, file)
  })
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new HoldfastError("ERR_BAD_FORMAT", `"${file}" is not ${expected}.`, { file }, { cause })
  }
}
