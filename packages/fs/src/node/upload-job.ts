/** One upload: what is in flight, what is stored and not yet committed. What it does is told in upload.ts. */
import * as fs from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import { equal } from "@holdfast/core"
import { localError } from "@holdfast/core/node"
import { type FileContent, packedFileBytes } from "@holdfast/tree"
import type { Change, Item, Writer, WriteTarget } from "../file-system.ts"
import { holdsEntries } from "../items.ts"
import { commitRest } from "./barred.ts"
import { type Linked, LinkedFiles } from "./linked-files.ts"
import type { LocalItem, WalkOptions } from "./local.ts"
import { count, hashFile, LocalReadError, openLocal, readWhole, streamLocal, whenEnded } from "./read-local.ts"
import type { Known, StoredFiles } from "./stored-files.ts"
import { noTotals } from "./totals.ts"
import { attributesOf, type Before, hasSameContent, isSame, keepingUnholdable } from "./unchanged.ts"
import { withoutXattrs } from "./xattrs.ts"

/** How an upload is done. */
export interface UploadOptions extends WalkOptions {
  /** Stores files again even when size, time and attributes are the same. */
  readonly overwrite?: boolean
  /** Removes from directories what their local folder does not have; what is left out of it, or would be, stays. */
  readonly mirror?: boolean
  /** Finds out what would be done, and does nothing. */
  readonly dryRun?: boolean
  /** What files were like when they were stored: those that changed without another size or time are found by it. */
  readonly storedFiles?: StoredFiles | undefined
  readonly signal?: AbortSignal
  /** Hears of each thing that is stored or removed, or would be. */
  readonly onItem?: (what: "stored" | "removed", path: readonly string[]) => void
  /** Hears of bytes as they are stored or skipped. */
  readonly onBytes?: (count: number) => void
  /** Commits at least this often; 1 GiB, 30 s and 10,000 changes when absent. */
  readonly commitBytes?: number
  readonly commitMs?: number
  readonly commitChanges?: number
}

/** Files up to this size are read in one go; the writer copies them at once. */
const smallBytes = packedFileBytes
/** Most bytes read and not yet stored; several packs of small files, so that packs fill. */
const flightBytes = 24 * 1024 * 1024
const itemBytes = 1024 // of a small file in memory, besides its content
/** Changes that wait for a commit, and that it makes at once: each takes some 2 KB until it is made. */
const mostChanges = 10_000
/** After so long without progress, what waits for a full pack is sent in a smaller one. */
const idleMs = 500
const streamBytes = 8 * 1024 * 1024 // of a streamed file at once

/** Takes what a walk finds, item by item; then it is committed, or given up. */
export class UploadJob {
  readonly totals = noTotals()
  readonly #writer: Writer
  readonly #options: UploadOptions
  #changes: Change[] = []
  #inFlight = new Set<Promise<void>>()
  #flightBytes = 0
  #uncommittedBytes = 0
  #lastCommit = performance.now()
  #failure: unknown
  readonly #links = new LinkedFiles<FileContent>()
  /** Where a directory gives way, and only to what is stored: a file that cannot be read leaves it. */
  readonly #givesWay = new Set<string>()
  /** Where a small file lies until the writer has copied it: memory that is new costs more than reading a file. */
  #memory: Uint8Array | undefined
  #room: (() => void) | undefined

  constructor(writer: Writer, options: UploadOptions) {
    this.#writer = writer
    this.#options = options
  }

  /** Takes an item; gives a promise only when the caller must wait before the next one. */
  add(found: LocalItem, path: readonly string[], existing: Item | undefined): Promise<void> | undefined {
    const item = keepingUnholdable(found, existing, existing !== undefined && hasSameContent(found, existing))
    if (item.xattrProblem) this.#options.onProblem(withoutXattrs(item, item.xattrProblem))
    if (existing && item.kind !== "directory" && holdsEntries(existing)) {
      // What the user named is no mirror of a directory when it is a file.
      if (this.#options.mirror && item.path.length > 0) {
        this.#givesWay.add(path.join("/"))
        const { xattrProblem: _, ...rest } = item // it was told
        return this.add(rest, path, undefined)
      }
      const message = `"${item.local}" was left out: a directory of this name is there. Remove it first.`
      this.#options.onProblem({ path: item.local, code: "ERR_IS_A_DIRECTORY", message })
    } else if (item.kind === "directory") {
      this.totals.directories++
      // A mirror's folder comes in place of a file, which was not barred.
      if (existing && !holdsEntries(existing)) this.#take({ path, kind: "remove" })
      if (path.length > 0 && !isSame(item, existing)) this.#change({ ...attributesOf(item), path, kind: "directory" })
    } else if (!this.#options.overwrite && isSame(item, existing) && !this.#changedUnseen(item, path)) {
      this.#isUnchanged(item)
    } else if (item.kind === "symlink") {
      this.totals.symlinks++
      this.#change({ ...attributesOf(item), path, kind: "symlink", target: item.target! })
    } else this.#addFile({ found, item }, path, existing)
    if (this.#isDue) return this.#commitAll({ isPart: true })
    if (this.#flightBytes >= flightBytes || this.#failure) return this.#waitForRoom()
    return undefined
  }

  get #isDue(): boolean {
    const { commitBytes = 2 ** 30, commitMs = 30_000, commitChanges = mostChanges } = this.#options
    return (
      this.#uncommittedBytes >= commitBytes ||
      this.#changes.length + this.#inFlight.size >= commitChanges ||
      performance.now() - this.#lastCommit >= commitMs
    )
  }

  #isUnchanged(item: LocalItem): void {
    this.totals.unchanged++
    this.#options.onBytes?.(item.sizeBytes)
  }

  /** Of a file that looks unchanged: what is known of its content, when it is another file or was touched since. */
  #changedUnseen(item: LocalItem, path: readonly string[]): Exclude<Known, string> | undefined {
    if (item.kind !== "file") return undefined
    const known = this.#options.storedFiles?.look(path, item) ?? "same"
    if (known === "nothing") this.#options.storedFiles?.note(path, item, undefined)
    return typeof known === "string" ? undefined : known
  }

  /** Takes what is at `path` away with the next commit; gives a promise as `add` does. */
  remove(path: readonly string[]): Promise<void> | undefined {
    this.#remove(path)
    return this.#isDue ? this.#commitAll({ isPart: true }) : undefined
  }

  /** Waits for all that was added and commits it; nothing more is added. */
  commit(): Promise<void> {
    return this.#commitAll({ isPart: false })
  }

  /** After an error: lets what is in flight end, so that nothing is left unobserved. */
  async abandon(): Promise<void> {
    await Promise.allSettled([...this.#inFlight, this.#writer.flush()])
  }

  /** After it was stopped: what is stored is committed, so that it need not be sent again. */
  async keep(): Promise<void> {
    const isOnlyStopped = this.#failure === undefined || this.#failure === this.#options.signal?.reason
    if (this.#changes.length === 0 || !isOnlyStopped) return
    await this.#commit(this.#changes)
    this.#options.storedFiles?.committed()
  }

  #remove(path: readonly string[]): void {
    this.totals.removed++
    this.#change({ path, kind: "remove" })
  }

  #change(change: Change): void {
    if (change.kind !== "remove") this.#makeRoom(change.path)
    this.#options.onItem?.(change.kind === "remove" ? "removed" : "stored", change.path)
    this.#take(change)
  }

  #take(change: Change): void {
    if (!this.#options.dryRun) this.#changes.push(change)
  }

  async #commitAll(how: { readonly isPart: boolean }): Promise<void> {
    this.#options.signal?.throwIfAborted()
    await Promise.all([...this.#inFlight, this.#writer.flush()])
    if (this.#failure) throw this.#failure
    const changes = this.#changes
    this.#changes = []
    if (changes.length > 0) await this.#commit(changes, how)
    this.#options.storedFiles?.committed()
    this.#uncommittedBytes = 0
    this.#lastCommit = performance.now()
  }

  #commit(changes: readonly Change[], { isPart = false } = {}): Promise<void> {
    return commitRest(this.#writer, changes, { totals: this.totals, onProblem: this.#options.onProblem, isPart })
  }

  /** In the same commit as what comes there. */
  #makeRoom(path: readonly string[]): void {
    if (this.#givesWay.delete(path.join("/"))) this.#remove(path)
  }

  /** `item` is as it is to be stored if its content is, what was `found` as it is here: whether that is so may show when it is read. */
  #addFile(
    { found, item }: { readonly found: LocalItem; readonly item: LocalItem },
    path: readonly string[],
    existing: Item | undefined,
  ): void {
    const looksSame = !this.#options.overwrite && existing && hasSameContent(item, existing)
    const changed = looksSame ? this.#changedUnseen(item, path) : undefined
    // Without a hash, attributes that changed are what changed the ctime.
    const isTrusted = !changed || (!changed.hash && !isSame(item, existing))
    const content = looksSame && isTrusted ? this.#writer.contentOf(existing) : undefined
    if (content && changed) this.#options.storedFiles?.note(path, item, undefined)
    const link = this.#links.find(item)
    if (changed?.hash) this.#readFile(found, path, { existing, before: changed.hash })
    else if (content) this.#nameAgain(item, path, content)
    else if (this.#options.dryRun) this.#wouldStore(item, path)
    else if (link) this.#keepInFlight(itemBytes, () => this.#addLink(found, { path, before: existing }, link))
    else this.#readFile(found, path, { existing })
  }

  /** It was read, and is what is there, but perhaps for its attributes. */
  #keepContent(read: LocalItem, path: readonly string[], { existing, before }: Before): void {
    const item = keepingUnholdable(read, existing, true)
    this.#options.storedFiles?.note(path, item, before)
    const content = existing && this.#writer.contentOf(existing)
    if (!content || isSame(item, existing)) this.#isUnchanged(item)
    else this.#nameAgain(item, path, content)
  }

  /** Content that is stored already. */
  #nameAgain(item: LocalItem, path: readonly string[], content: FileContent): void {
    this.#options.onBytes?.(item.sizeBytes)
    this.#done(item, 0)
    this.#change({ ...attributesOf(item), path, kind: "file", content })
  }

  #wouldStore(item: LocalItem, path: readonly string[]): void {
    this.#done(item, item.sizeBytes)
    this.#makeRoom(path)
    this.#options.onItem?.("stored", path)
  }

  #done(item: LocalItem, bytes: number): void {
    this.totals.files++
    this.totals.bytes += bytes
    if (this.#links.isAgain(item)) this.totals.hardLinks++
  }

  #readFile(item: LocalItem, path: readonly string[], known: Before): void {
    const { existing, before } = known
    let file: number | undefined
    let source: Uint8Array | number
    let read = item
    try {
      ;({ file, item: read } = openLocal(item)) // while the walk is at it
      this.#memory ??= new Uint8Array(smallBytes + 1)
      const whole = read.sizeBytes <= smallBytes ? readWhole(read, file, this.#memory) : undefined
      source = file
      if (whole) [read, source] = whole
      else file = undefined
    } catch (error) {
      this.#report(item, error)
      return
    } finally {
      if (file !== undefined) fs.closeSync(file)
    }
    if (typeof source !== "number") {
      const isKept = before && this.#options.storedFiles && equal(this.#options.storedFiles.hashOf(source), before)
      if (isKept) this.#keepContent(read, path, known)
      else if (this.#options.dryRun) this.#wouldStore(read, path)
      if (isKept || this.#options.dryRun) return
    }
    this.#uncommittedBytes += read.sizeBytes
    this.#keepInFlight(Math.min(read.sizeBytes, streamBytes) + itemBytes, (release) => {
      const target = { path, before: existing }
      // Once it was read to its end, a stream holds nothing, though it may have to wait for its pack to be stored.
      const stored =
        typeof source === "number"
          ? this.#storeOpen(source, read, { target, known, onEnd: () => release(itemBytes) })
          : this.#store(source, read, target)
      this.#links.keep(item, stored)
      return stored
    })
  }

  /** True when an open file, which stays open, has the content that it had when it was stored. */
  async #hasContent(file: number, before: Uint8Array): Promise<boolean> {
    const { storedFiles, signal } = this.#options
    return storedFiles !== undefined && equal(await hashFile(file, storedFiles.newHash(), signal), before)
  }

  /** Stores an open file, unless it has the content of before; and closes it. */
  async #storeOpen(
    file: number,
    item: LocalItem,
    { known, ...how }: { readonly target: WriteTarget; readonly known: Before; readonly onEnd: () => void },
  ): Promise<FileContent | undefined> {
    if (!known.before) return this.#storeStream(file, item, how)
    let isSent = false
    try {
      const isKept = await this.#hasContent(file, known.before)
      if (isKept) this.#keepContent(item, how.target.path, known)
      else if (this.#options.dryRun) this.#wouldStore(item, how.target.path)
      else {
        isSent = true
        return await this.#storeStream(file, item, how)
      }
      return isKept && known.existing ? this.#writer.contentOf(known.existing) : undefined
    } catch (error) {
      if (error instanceof LocalReadError) this.#report(item, error.cause)
      else this.#failure ??= error
      return undefined
    } finally {
      if (!isSent) fs.closeSync(file)
    }
  }

  /** Stores an open file, and closes it. */
  async #storeStream(
    file: number,
    item: LocalItem,
    { target, onEnd }: { readonly target: WriteTarget; readonly onEnd: () => void },
  ): Promise<FileContent | undefined> {
    const { signal } = this.#options
    const { pieces, close } = streamLocal(file, this.#writer.buffers, signal)
    try {
      return await this.#store(whenEnded(pieces, onEnd), item, target)
    } finally {
      close()
    }
  }

  /** Counts `work` among what is in flight, with `weight` bytes until it ends or releases all but some of them. */
  #keepInFlight(weight: number, work: (release: (rest: number) => void) => Promise<unknown>): void {
    let held = weight
    this.#flightBytes += weight
    const release = (rest: number) => {
      this.#flightBytes -= held - rest
      held = rest
      this.#room?.()
    }
    const ended = work(release).then(() => {
      this.#inFlight.delete(ended)
      release(0)
    })
    this.#inFlight.add(ended)
  }

  /** Another name of a file that is being stored: its content is not read again. */
  async #addLink(item: LocalItem, { path, before }: WriteTarget, link: Linked<FileContent>): Promise<void> {
    const content = await link
    if (!content) {
      const message = `"${item.local}" was left out, as it is one with a file that could not be read.`
      return this.#options.onProblem({ path: item.local, code: "ERR_IO", message })
    }
    this.#nameAgain(keepingUnholdable(item, before, false), path, content)
  }

  /** Stores content that is not what is there. */
  async #store(
    source: Uint8Array | AsyncIterable<Uint8Array>,
    read: LocalItem,
    target: WriteTarget,
  ): Promise<FileContent | undefined> {
    const item = keepingUnholdable(read, target.before, false)
    try {
      let sizeBytes = 0
      const tally = (bytes: number) => {
        sizeBytes += bytes
        this.#options.onBytes?.(bytes)
      }
      const { storedFiles } = this.#options
      const hash = source instanceof Uint8Array ? undefined : storedFiles?.newHash()
      if (source instanceof Uint8Array) tally(source.length)
      const digest = source instanceof Uint8Array ? storedFiles?.hashOf(source) : undefined
      const content = await this.#writer.add(source instanceof Uint8Array ? source : count(source, tally, hash), target)
      storedFiles?.note(target.path, item, digest ?? hash?.digest())
      this.#done(item, sizeBytes)
      this.#change({ ...attributesOf(item), path: target.path, kind: "file", content })
      return content
    } catch (error) {
      if (error instanceof LocalReadError) this.#report(item, error.cause)
      else this.#failure ??= error
      return undefined
    }
  }

  async #waitForRoom(): Promise<void> {
    while (this.#flightBytes >= flightBytes && !this.#failure) {
      const room = new Promise<void>((resolve) => {
        this.#room = resolve
      })
      const isIdle = await Promise.race([room.then(() => false), delay(idleMs, true)])
      if (isIdle) await this.#writer.flush() // what is in flight may wait for company that cannot come
    }
    this.#options.signal?.throwIfAborted()
    if (this.#failure) throw this.#failure
  }

  #report(item: LocalItem, error: unknown): void {
    const { code, message } = localError(error, item.local)
    this.#options.onProblem({ path: item.local, code, message })
  }
}
