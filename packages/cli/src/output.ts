/** Results that are no text for the screen: secrets that were asked for, and bytes. */
import * as fs from "node:fs"
import { createSecretFile, localError } from "@holdfast/core/node"
import type { Context } from "./context.ts"

/** Prints a secret that was asked for, or writes it into the new file `out` that only its owner may read. */
export async function handOver(
  context: Context,
  { out, value, text }: { readonly out: string | undefined; readonly value: object; readonly text: string },
): Promise<void> {
  if (out === undefined) {
    context.outputExact(value, text)
    if (isOpenFile((context.stdout as { readonly fd?: number }).fd))
      context.warn("others may read the file that this went into; --out FILE makes a closed one.")
    return
  }
  const file = await createSecretFile(out)
  try {
    await file.write(`${text}\n`)
  } finally {
    await file.close()
  }
  context.output({ out }, `Written to ${out}, which only you may read.`)
}

function isOpenFile(fd: number | undefined): boolean {
  if (fd === undefined) return false
  const state = fs.fstatSync(fd)
  return state.isFile() && process.platform !== "win32" && (state.mode & 0o077) !== 0
}

/** Writes bytes to stdout, waiting when the reader is slow. */
export async function writeOut(context: Context, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) =>
    context.stdout.write(bytes, (error) => (error ? reject(localError(error, "stdout")) : resolve())),
  )
}
