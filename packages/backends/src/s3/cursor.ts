/** Walks over the objects of a bucket beside something else that ascends, with one list for as many as a page has. */
import { HoldfastError } from "@holdfast/core"
import { checkListing } from "@holdfast/protocol"
import type { Bucket, ObjectInfo } from "./bucket.ts"

const pageLength = 1000

/** Moves forward only. */
export class KeyCursor {
  readonly #bucket: Bucket
  readonly #prefix: string
  readonly #signal: AbortSignal | undefined
  #page: readonly ObjectInfo[] = []
  #at = 0
  /** All keys up to here were in pages; undefined when there are no more. */
  #end: string | undefined = ""

  constructor(bucket: Bucket, prefix: string, signal: AbortSignal | undefined) {
    this.#bucket = bucket
    this.#prefix = prefix
    this.#signal = signal
  }

  /** The objects whose keys begin with `part`; parts must ascend. */
  async under(part: string): Promise<ObjectInfo[]> {
    const found: ObjectInfo[] = []
    const last = `${part}~`
    for (;;) {
      for (; this.#at < this.#page.length; this.#at++) {
        const info = this.#page[this.#at]!
        if (info.key > last) return found
        if (info.key.startsWith(part)) found.push(info)
      }
      if (this.#end === undefined || this.#end > last) return found
      const after = this.#end > part ? this.#end : part
      const { infos } = await this.#bucket.list(this.#prefix, { after, limit: pageLength, signal: this.#signal })
      this.#page = infos
      this.#at = 0
      this.#end = infos.length < pageLength ? undefined : infos.at(-1)!.key
    }
  }
}

/** Objects of others under our prefixes; nobody puts so many there by mistake. */
const mostForeign = 20_000

/** What is walked over. */
export interface WalkOptions<T> {
  readonly prefix: string
  /** Undefined for what is none of ours. */
  readonly parse: (key: string) => T | undefined
  /** Begins after this key. */
  readonly after?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** Every object under `prefix` that `parse` knows, in order. Throws ERR_BAD_FORMAT when there are too many others. */
export async function* walk<T extends object>(
  bucket: Bucket,
  { prefix, parse, after: from, signal }: WalkOptions<T>,
): AsyncGenerator<ObjectInfo & { readonly parsed: T }, void, void> {
  let [after, foreign, count] = [from, 0, 0]
  for (;;) {
    const { infos } = await bucket.list(prefix, { after, limit: pageLength, signal })
    for (const info of infos) {
      const parsed = parse(info.key)
      if (parsed !== undefined) {
        if (++count % pageLength === 0 && "id" in parsed) checkListing(bucket.name, count, parsed.id as Uint8Array)
        yield { ...info, parsed }
      } else if (++foreign > mostForeign) throw foreignError(bucket.name, prefix)
    }
    if (infos.length < pageLength) return
    after = infos.at(-1)!.key
  }
}

function foreignError(name: string, prefix: string): HoldfastError {
  return new HoldfastError(
    "ERR_BAD_FORMAT",
    `Bucket ${name} lists more than ${mostForeign} objects under ${prefix} that are not Holdfast's. ` +
      "Remove them with your provider's tools; if there are none, do not trust it.",
    { server: name },
  )
}
