/** Where operations of clients take place, and what they have in common. */
import { assert, utf8 } from "@holdfast/core"
import type { FileSystem, Location } from "@holdfast/fs"
import type { FileEntry } from "@holdfast/tree"
import type { SimulatedClient } from "./client.ts"
import type { Fail } from "./history.ts"
import type { Model, Span, Token } from "./model.ts"
import { Random } from "./random.ts"
import type { SimulatedTime } from "./time.ts"
import type { SimulatedTree } from "./trees.ts"

/** Where an operation takes place. */
export interface OperationContext {
  readonly client: SimulatedClient
  readonly random: Random
  /** The tree that it is about. */
  readonly target: SimulatedTree
  readonly model: Model
  readonly trees: readonly SimulatedTree[]
  /** A new tree of the client's account; undefined when there are enough. Claims are made for it once it is kept. */
  readonly newTree: () => Promise<{ readonly tree: SimulatedTree; readonly keep: () => void } | undefined>
  /** True for what a malicious writer made. */
  readonly isForeign: (entry: FileEntry) => boolean
  readonly time: SimulatedTime
  readonly fail: Fail
  readonly span: Span
  /** What places spare at least. */
  readonly graceMs: number
  /** The machine sleeps for so long before it commits, and may not notice. */
  readonly sleep?: { readonly ms: number; readonly isNoticed: boolean } | undefined
  /** Nothing of the past is kept. */
  readonly isLast: boolean
  /** k, by which sizes are chosen so that shares become files. */
  readonly k: number
}

/** Where files are put, and what they are called. */
export const folders = ["", "a", "b", "a/c"]
export const fileNames = Array.from({ length: 6 }, (_, i) => `f${i}`)
export const snapshotNames = ["s0", "s1", "s2", "s3"]

/** A path of the model as a location. */
export function at(files: FileSystem, path: string): Location {
  return { files, path: path.split("/") }
}

/** A name in a folder of the model. */
export function join(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`
}

/** Between what was read or stored and the commit: a machine may sleep, or be busy with the rest of a long upload. */
export async function pauseBeforeCommit(context: OperationContext, chance: number): Promise<void> {
  if (context.sleep) await sleepThrough(context, context.sleep)
  else if (context.random.chance(chance)) await longPause(context)
}

async function longPause({ random, time, client }: OperationContext): Promise<void> {
  const ms = random.between(1, 60) * 60_000
  client.pausedMs += ms
  await time.sleep(ms)
}

/** A machine sleeps, and may believe afterwards that no time has passed. */
export async function sleepThrough(
  { time, client }: OperationContext,
  { ms, isNoticed }: NonNullable<OperationContext["sleep"]>,
): Promise<void> {
  await time.sleep(ms)
  if (!isNoticed) client.clock.jump(-ms)
}

/** The bytes that a token stands for. */
export function contentOf({ content, size }: Token): Uint8Array {
  const bytes = new Random(`content ${content}`).bytes(size)
  const mark = utf8(`content ${content} `)
  assert(mark.length <= size, "room for the mark of a content")
  bytes.set(mark)
  return bytes
}
