/** Results that are no text for the screen: secrets that were asked for, and bytes. */
import * as fs from "node:fs"
import { shownJson } from "@holdfast/core"
import { createSecretFile, localError } from "@holdfast/core/node"
import type { Context } from "./context.ts"
import type { Line } from "./screen.ts"

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

/** So many items are held, and printed together. */
const heldItems = 10_000

/**
 * A result of many items, an array with --json and a line each without, printed while they come: a million of them are never held.
 * Of few, nothing is printed before the end, so that an error comes alone; of more, an array that an error cuts short stays open.
 */
export class ItemList {
  readonly #context: Context
  #values: unknown[] = []
  #lines: Line[] = []
  #isOpen = false

  constructor(context: Context) {
    this.#context = context
  }

  /** One more item: what it is with --json, and what it is without. Gives a promise only when the caller must wait for who reads it. */
  add({ value, line }: { readonly value?: () => unknown; readonly line?: () => Line }): Promise<void> | undefined {
    return this.addAll({ ...(value && { values: () => [value()] }), ...(line && { lines: () => [line()] }) })
  }

  /** The same of several. */
  addAll(items: { readonly values?: () => unknown[]; readonly lines?: () => Line[] }): Promise<void> | undefined {
    if (this.#context.json) for (const value of items.values?.() ?? []) this.#values.push(value)
    else for (const line of items.lines?.() ?? []) this.#lines.push(line)
    return this.#values.length + this.#lines.length >= heldItems ? this.#print() : undefined
  }

  /** All items were added. */
  async end(): Promise<void> {
    if (!this.#isOpen) this.#context.output(this.#values, this.#lines)
    else {
      await this.#print()
      if (this.#context.json) await writeText(this.#context, "]\n")
    }
  }

  async #print(): Promise<void> {
    const { json } = this.#context
    const [values, lines] = [this.#values, this.#lines]
    this.#values = []
    this.#lines = []
    if (json && values.length > 0)
      await writeText(this.#context, `${this.#isOpen ? "," : "["}${shownJson(values).slice(1, -1)}`)
    if (!json) {
      this.#context.output(values, lines)
      await writeText(this.#context, "") // comes back when the lines are out
    }
    this.#isOpen = true
  }
}

function writeText(context: Context, text: string): Promise<void> {
  return writeOut(context, new TextEncoder().encode(text))
}
