/**
 * One hand of a person: works in folders of its own in all trees of that person, one command after another, beside all others.
 * What was acknowledged is what it expects; of a command that was killed or failed, the state before or the one after.
 */
import * as fs from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import type { Random } from "../random.ts"
import type { Device } from "./device.ts"
import {
  type Content,
  contentOf,
  differenceOf,
  type Folder,
  filesOf,
  type Items,
  readFolder,
  type SharedTree,
  type Snapshot,
} from "./folder.ts"
import type { History } from "./history.ts"
import { Turn } from "./turn.ts"

/** A change of a folder. */
export interface Change {
  readonly kind: string
  readonly args: readonly string[]
  readonly input?: Uint8Array
  readonly after: Items
  /** Whether it may be there in part: long uploads commit now and then. */
  readonly isGradual?: boolean
}

/** A tree of the other person that this one keeps. */
export interface Kept {
  readonly alias: string
  readonly files: ReadonlyMap<string, Content>
}

/** A mutable file. */
export interface Note {
  readonly alias: string
  content: Content
}

/** How many tries a change gets while faults are under way. */
export const mostTries = 40

/** A worker. */
export class Worker {
  readonly name: string
  readonly device: Device
  readonly history: History
  readonly random: Random
  readonly turn = new Turn()
  readonly folders: readonly Folder[]
  readonly snapshots: Snapshot[] = []
  readonly kept: Kept[] = []
  readonly notes: Note[] = []
  /** Trees that it made as gifts and has not forgotten. */
  readonly made = new Set<string>()
  /** Those of them to be forgotten: another keeps them by now. */
  readonly given: string[] = []
  #named = 0

  constructor(name: string, device: Device, trees: readonly SharedTree[], parts: { history: History; random: Random }) {
    this.name = name
    this.device = device
    this.history = parts.history
    this.random = parts.random
    this.folders = trees.map((tree) => ({ tree, path: `/${name}`, items: new Map(), frozen: new Set() }))
  }

  /** A name that was never used before. */
  nextName(what: string): string {
    return `${what}${this.#named++}`
  }

  /** A place in a folder, as this worker's device calls it. */
  at(folder: Folder, name = ""): string {
    return `${folder.tree.names[this.device.person]}:${folder.path}${name === "" ? "" : `/${name}`}`
  }

  /** Makes its mutable file. */
  async begin(): Promise<void> {
    const alias = `note-${this.name}`
    await this.device.must(["alias", "create", alias, "--file"])
    this.notes.push({ alias, content: contentOf(new Uint8Array()) })
  }

  /** Changes a folder, again and again until it is acknowledged; now and then the command is killed on its way. */
  async change(folder: Folder, { kind, args, input, after, isGradual }: Change): Promise<void> {
    for (let tries = 0; tries < mostTries; tries++) {
      const killAfterMs = tries === 0 && this.random(20) === 0 ? 200 + this.random(4000) : undefined
      const outcome = await this.device.call(args, { kind, input: input ?? "", ...(killAfterMs && { killAfterMs }) })
      if (outcome.isDone) {
        folder.items = after
        return
      }
      const found = await this.fetch(this.device, this.at(folder))
      if (differenceOf(filesOf(after), found) === undefined) {
        folder.items = after
        this.history.add("done though not acknowledged", 1)
        return
      }
      const expected = isGradual ? between(folder.items, after, found) : filesOf(folder.items)
      const difference = differenceOf(expected, found)
      if (difference !== undefined) {
        this.history.fail(
          `${this.name}: after ${args.join(" ")}, unacknowledged, ${this.at(folder)} is neither as before (${difference}) nor as after (${differenceOf(filesOf(after), found)})`,
        )
        return
      }
    }
    throw new Error(`${this.name}: ${args.join(" ")} was not acknowledged in ${mostTries} tries`)
  }

  /** What a device sees at a place, read whole. */
  async fetch(device: Device, place: string): Promise<Map<string, Content>> {
    const out = device.nextFolder()
    for (let tries = 0; tries < mostTries; tries++) {
      const outcome = await device.call(["get", "--overwrite", place, out], { kind: "get", allowed: ["ERR_NOT_FOUND"] })
      if (outcome.isShutOut || (!outcome.isDone && outcome.error !== "ERR_NOT_FOUND")) {
        await delay(500)
        continue
      }
      const found = outcome.isDone ? readFolder(out) : new Map<string, Content>()
      this.history.add(
        "bytes read back",
        [...found.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      )
      fs.rmSync(out, { recursive: true, force: true })
      return found
    }
    throw new Error(`${device.name}: ${place} could not be read in ${mostTries} tries`)
  }
}

/** What is there before and must be there still, with those files of `after` that are there already. */
function between(before: Items, after: Items, found: ReadonlyMap<string, Content>): Map<string, Content> {
  return new Map([...filesOf(before), ...[...filesOf(after)].filter(([path]) => found.has(path))])
}

/** Makes the folders of all workers, a command for each tree. */
export async function makeFolders(workers: readonly Worker[]): Promise<void> {
  const makers = new Map<SharedTree, { device: Device; places: string[] }>()
  for (const { device, folders } of workers)
    for (const { tree, path } of folders) {
      const maker = makers.get(tree) ?? { device, places: [] }
      makers.set(tree, maker)
      maker.places.push(`${tree.names[maker.device.person]}:${path}`)
    }
  await Promise.all([...makers.values()].map(({ device, places }) => device.must(["mkdir", "-p", ...places])))
}
