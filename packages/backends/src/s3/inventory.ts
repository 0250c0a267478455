/** What an account holds in a bucket: its marks, joined with the objects that lie under them. */
import { toHex } from "@holdfast/core"
import type { CallOptions, ListOptions, ListRegistersOptions, MarkInfo, RegisterId, Usage } from "@holdfast/protocol"
import { checkListLimit, checkRole } from "../rules.ts"
import { KeyCursor } from "./cursor.ts"
import { records } from "./ids.ts"
import { chunkPrefix, parseShareKey, sharesPrefix } from "./keys.ts"
import type { MarkObjects } from "./marks.ts"
import type { Place } from "./place.ts"

/** Lists what one account holds. */
export class Inventory {
  readonly #place: Place
  readonly #marks: MarkObjects

  constructor(place: Place, marks: MarkObjects) {
    this.#place = place
    this.#marks = marks
  }

  /** The account's marks, joined with what lies here; a mark of which nothing lies here is one of no bytes. */
  async listMarks({ after, limit, signal }: ListOptions): Promise<MarkInfo[]> {
    checkRole(this.#place.access, "collect")
    checkListLimit(limit)
    const page: MarkInfo[] = []
    for await (const info of this.#held(after, signal)) if (page.push(info) === limit) break
    return page
  }

  /** The registers that the account marked. */
  async listRegisters({ after, limit, signal }: ListRegistersOptions): Promise<RegisterId[]> {
    checkRole(this.#place.access, "collect")
    checkListLimit(limit)
    const page: RegisterId[] = []
    for await (const window of this.#marks.windows(await this.#readable(signal), "registers", { after, signal }))
      for (const id of records(window)) if (page.push(id.slice()) === limit) return page
    return page
  }

  /** What the account's marks hold: a list for up to 1000 shares, since S3 has no other way to count. */
  async usage({ signal }: CallOptions = {}): Promise<Usage> {
    let [usedBytes, shareCount] = [0, 0]
    for await (const { sizeBytes } of this.#held(undefined, signal)) {
      usedBytes += sizeBytes
      if (sizeBytes > 0) shareCount++
    }
    return { usedBytes, shareCount }
  }

  async #readable(signal?: AbortSignal): Promise<string[]> {
    const { objects } = await this.#marks.list(this.#place.access.account, signal)
    const keys: string[] = []
    for (const { key } of objects) if (await this.#marks.readUnlessBad(key, signal)) keys.push(key)
    return keys
  }

  /** The account's marks in order, each with what lies here under it. */
  async *#held(after: ListOptions["after"], signal?: AbortSignal): AsyncGenerator<MarkInfo, void, void> {
    const from = after && previousOf(after.id)
    const keys = await this.#readable(signal)
    const shares = new KeyCursor(this.#place.bucket, sharesPrefix, signal)
    for await (const window of this.#marks.windows(keys, "chunks", { after: from, signal }))
      for (const id of records(window)) {
        const held = new Map<number, MarkInfo>()
        for (const { key, sizeBytes } of await shares.under(chunkPrefix(id))) {
          const share = parseShareKey(key)
          if (share) held.set(share.index, { id: share.id, index: share.index, sizeBytes })
        }
        const infos = held.size > 0 ? [...held.values()] : [{ id: id.slice(), index: 0, sizeBytes: 0 }]
        const isAfter = ({ index }: MarkInfo) => !after || toHex(id) !== toHex(after.id) || index > after.index
        yield* infos.filter(isAfter)
      }
  }
}

/** The highest id below `id`; undefined when there is none. */
function previousOf(id: Uint8Array): Uint8Array | undefined {
  const previous = id.slice()
  for (let i = previous.length - 1; i >= 0; i--) {
    if (previous[i]! > 0) {
      previous[i]!--
      return previous
    }
    previous[i] = 255
  }
  return undefined
}
