/**
 * What stops writers (rules O13 and O14): the epoch of the volume, and the lists of what is about to be deleted. A list stays for
 * a grace after its objects are gone, so whoever saw an object lately and sees it in no list has it.
 */
import { HoldfastError, toHex } from "@holdfast/core"
import type { ChunkId } from "@holdfast/protocol"
import { countBelow, hasRecord, recordAt } from "./ids.ts"
import { condemnedKey, fencePrefix, parseFenceKey } from "./keys.ts"
import {
  type CondemnedList,
  condemnedOf,
  condemnedRecord,
  decodeCondemned,
  mostListBytes,
  condemnedRecordBytes as width,
} from "./lists.ts"
import type { Place } from "./place.ts"

/** A list of condemned objects, as `fence/` shows it. */
export interface Sentence {
  readonly name: string
  /** When it was put; undefined when only the word that it was carried out is left. */
  readonly condemnedMs?: number
  /** Since when all that it names is deleted. */
  readonly sweptMs?: number
}

/** What `fence/` showed at one moment. */
export interface FenceView {
  readonly atMs: number
  readonly epoch: number
  readonly sentences: readonly Sentence[]
}

/** More than a sane sweeper leaves behind. */
const mostEntries = 1000
const mostLooks = 4

/** Looks at `fence/`, and remembers the lists seen there, which never change. */
export class Fence {
  readonly #place: Place
  #lists = new Map<string, CondemnedList>()

  constructor(place: Place) {
    this.#place = place
  }

  /** One list, and a get for each list of condemned that is new. */
  async look(signal?: AbortSignal): Promise<FenceView> {
    const { bucket, crypto, id } = this.#place
    for (let look = 0; look < mostLooks; look++) {
      const { infos, atMs } = await bucket.list(fencePrefix, { limit: mostEntries, signal })
      if (infos.length === mostEntries)
        throw new HoldfastError("ERR_LIMIT", `Bucket ${id} has too many objects under ${fencePrefix}.`, { server: id })
      const entries = infos.map(({ key, modifiedMs }) => ({ modifiedMs, parsed: parseFenceKey(key) }))
      const named = new Map<string, Sentence>()
      let epoch = 0
      for (const { modifiedMs, parsed } of entries) {
        if (!parsed) continue
        if ("epoch" in parsed) epoch = Math.max(epoch, parsed.epoch)
        else named.set(parsed.name, { ...named.get(parsed.name), name: parsed.name, [`${parsed.kind}Ms`]: modifiedMs })
      }
      const lists = new Map<string, CondemnedList>()
      for (const { name, condemnedMs } of named.values()) {
        if (condemnedMs === undefined) continue
        const known = this.#lists.get(name)
        const got = known ? undefined : await bucket.get(condemnedKey(name), mostListBytes, { signal })
        const list = known ?? (got && (await decodeCondemned(crypto, got.bytes, condemnedKey(name))))
        if (list) lists.set(name, list)
        else named.delete(name) // a sweeper took it away since: look again
      }
      this.#lists = lists
      if ([...lists.keys()].length === [...entries].filter(isCondemned).length)
        return { atMs, epoch, sentences: [...named.values()] }
    }
    throw new HoldfastError("ERR_CONFLICT", `What is condemned in bucket ${id} changes too fast. Try again.`, {
      server: id,
    })
  }

  /** The list of this name that was last seen. */
  listOf(name: string): CondemnedList | undefined {
    return this.#lists.get(name)
  }

  /** The first of these objects, packed and ascending, that a list names. */
  firstCondemned(objects: Uint8Array): string | undefined {
    for (const list of this.#lists.values()) {
      const [few, many] = list.length < objects.length ? [list, objects] : [objects, list]
      for (let i = 0; i * width < few.length; i++) {
        const record = recordAt(few, i, width)
        if (hasRecord(many, record, width)) return toHex(condemnedOf(record).id)
      }
    }
    return undefined
  }

  /** True when a list seen last names this share. */
  condemns(id: ChunkId, index: number, generation: number): boolean {
    return this.firstCondemned(condemnedRecord({ kind: "share", id, index, generation })) !== undefined
  }

  /** The lowest generation of a share above all that are condemned. */
  generationAbove(id: ChunkId, index: number): number {
    let above = 0
    for (const list of this.#lists.values()) {
      const end = condemnedRecord({ kind: "share", id, index: index + 1, generation: 0 })
      const at = countBelow(list, end, width) - 1
      if (at < 0) continue
      const last = condemnedOf(recordAt(list, at, width))
      if (last.kind === "share" && last.index === index && toHex(last.id) === toHex(id))
        above = Math.max(above, last.generation + 1)
    }
    return above
  }
}

function isCondemned({ parsed }: { parsed: ReturnType<typeof parseFenceKey> }): boolean {
  return parsed !== undefined && "kind" in parsed && parsed.kind === "condemned"
}
