/**
 * What local files were like when they were stored: their inode, the time of their last change of any kind (ctime, which no program sets
 * back), and a hash of their content. A file of the same size and modification time that is another one by these is read again. A cache:
 * it may be deleted, is bounded, and where it says nothing, size and time decide as they do without it.
 *
 * The file: 8 letters of magic, a random salt of 24 bytes, then a hash table of a power of two of slots of 32 bytes: key, state (8 each),
 * hash (16, see ContentHash). Key 0 is an empty slot, hash 0 one that is not known. A place is looked for in `probes` slots; in a full
 * table another gives way.
 */
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import { dirname } from "node:path"
import { isHoldfastError } from "@holdfast/core"
import { makePrivateFolder, writeSecretFile } from "@holdfast/core/node"
import type { LocalItem } from "./local.ts"

const magic = Buffer.from("hfstore2")
const saltBytes = 24
const headerBytes = magic.length + saltBytes
const slotBytes = 32
const hashBytes = 16
const zeroNonce = new Uint8Array(12)
const probes = 8
const fewestSlots = 1024
/** 32 MiB; some 700,000 files. */
const mostSlots = 2 ** 20
/** A file that changes again within the same tick of the file system's clock keeps its ctime. */
const settledNs = 100_000_000n
const unsettled = 0n
/** Odd, and of many bits: so each one gives different states for different values. */
const ctimeFactor = 0x9e3779b97f4a7c15n
const inodeFactor = 0xc2b2ae3d27d4eb4fn
const deviceFactor = 0x165667b19e3779f9n

/** What is known of a file at a place: nothing, that it is as it was, or that it changed, with the hash of before if that is known. */
export type Known = "nothing" | "same" | { readonly hash: Uint8Array | undefined }

/**
 * Hashes content as one index keeps it: GMAC (NIST SP 800-38D) under a key that nobody else knows, ten times as fast as SHA-256. Who
 * chooses contents without the key finds no two with the same hash; the nonce is always the same, since no hash leaves the index.
 */
export class ContentHash {
  readonly #mac: crypto.CipherGCM

  constructor(key: crypto.KeyObject) {
    this.#mac = crypto.createCipheriv("aes-256-gcm", key, zeroNonce)
  }

  update(bytes: Uint8Array): void {
    this.#mac.setAAD(bytes)
  }

  /** `hashBytes` bytes. */
  digest(): Uint8Array {
    this.#mac.final()
    return this.#mac.getAuthTag()
  }
}

/** The files of one tree that were stored from this machine. */
export class StoredFiles {
  readonly #file: string
  readonly #salt: string
  readonly #hashKey: crypto.KeyObject
  #table: Buffer
  /** Slots that are taken; unknown until something is noted, since nothing else asks. */
  #count: number | undefined
  #pending: { readonly key: bigint; readonly state: bigint; readonly hash: Uint8Array | undefined }[] = []
  #isChanged = false

  private constructor(file: string, table: Buffer) {
    this.#file = file
    this.#table = table
    this.#salt = table.toString("latin1", magic.length, headerBytes)
    const key = crypto.hash("sha256", `holdfast/stored-content\0${this.#salt}`, "buffer")
    this.#hashKey = crypto.createSecretKey(key) // given as bytes, it is taken in anew for each file
  }

  /** Reads it; one that is not there, or not whole, is empty. */
  static open(file: string): StoredFiles {
    return new StoredFiles(file, read(file) ?? emptyTable(fewestSlots, crypto.randomBytes(saltBytes)))
  }

  /** Begins a hash of content. */
  newHash(): ContentHash {
    return new ContentHash(this.#hashKey)
  }

  /** The hash of bytes that are here. */
  hashOf(bytes: Uint8Array): Uint8Array {
    const hash = this.newHash()
    hash.update(bytes)
    return hash.digest()
  }

  /** What is known of a file that is to be stored at `path`. */
  look(path: readonly string[], item: LocalItem): Known {
    const slot = this.#find(this.#keyOf(path))
    if (slot === undefined) return "nothing"
    const at = headerBytes + slot * slotBytes
    if (this.#table.readBigUInt64LE(at + 8) === this.#stateOf(item)) return "same"
    const hash = this.#table.subarray(at + 16, at + slotBytes)
    return { hash: hash.some((byte) => byte !== 0) ? Uint8Array.from(hash) : undefined }
  }

  /** The file was stored with this content; counts once `committed` is called, since until then the tree has what was there before. */
  note(path: readonly string[], item: LocalItem, hash: Uint8Array | undefined): void {
    const nowNs = BigInt(Date.now()) * 1_000_000n
    const state = nowNs - item.ctimeNs < settledNs ? unsettled : this.#stateOf(item)
    if (state === unsettled && !hash) return // size and time decide, as before
    this.#pending.push({ key: this.#keyOf(path), state, hash })
  }

  /** What was noted is in the tree. */
  committed(): void {
    for (const { key, state, hash } of this.#pending) this.#set(key, state, hash)
    this.#pending = []
  }

  /** Writes it, if anything is new. Throws nothing: without it the next upload only reads what it would have known. */
  async save(): Promise<void> {
    if (!this.#isChanged) return
    try {
      makePrivateFolder(dirname(this.#file))
      await writeSecretFile(this.#file, this.#table)
    } catch (error) {
      if (!isHoldfastError(error) && !(error instanceof Error && "code" in error)) throw error
    }
  }

  get #slots(): number {
    return (this.#table.length - headerBytes) / slotBytes
  }

  #countTaken(): number {
    // Without bigints: of a large table there are a million.
    const words = new Uint32Array(this.#table.buffer, this.#table.byteOffset, this.#table.length / 4)
    let count = 0
    for (let at = headerBytes / 4; at < words.length; at += slotBytes / 4)
      if (words[at] !== 0 || words[at + 1] !== 0) count++
    return count
  }

  #keyAt(slot: number): bigint {
    return this.#table.readBigUInt64LE(headerBytes + slot * slotBytes)
  }

  #find(key: bigint): number | undefined {
    for (let i = 0; i < probes; i++) {
      const slot = (Number(key & 0xffffffffn) + i) & (this.#slots - 1)
      const there = this.#keyAt(slot)
      if (there === key) return slot
      if (there === 0n) return undefined
    }
    return undefined
  }

  #set(key: bigint, state: bigint, hash: Uint8Array | undefined): void {
    this.#isChanged = true
    this.#count ??= this.#countTaken()
    if (this.#count * 2 >= this.#slots && this.#slots < mostSlots) this.#grow()
    let slot = this.#find(key)
    for (let i = 0; slot === undefined && i < probes; i++) {
      const free = (Number(key & 0xffffffffn) + i) & (this.#slots - 1)
      if (this.#keyAt(free) === 0n) slot = free
    }
    if (slot === undefined && this.#slots < mostSlots) {
      this.#grow()
      this.#set(key, state, hash)
      return
    }
    if (slot === undefined) slot = (Number(key & 0xffffffffn) + Number(key >> 61n)) & (this.#slots - 1)
    else if (this.#keyAt(slot) === 0n) this.#count++
    const at = headerBytes + slot * slotBytes
    this.#table.writeBigUInt64LE(key, at)
    this.#table.writeBigUInt64LE(state, at + 8)
    this.#table.fill(0, at + 16, at + slotBytes)
    if (hash) this.#table.set(hash, at + 16)
  }

  #grow(): void {
    const before = this.#table
    this.#table = emptyTable(this.#slots * 2, before.subarray(magic.length, headerBytes))
    this.#count = 0
    for (let at = headerBytes; at < before.length; at += slotBytes) {
      const key = before.readBigUInt64LE(at)
      if (key !== 0n) this.#set(key, before.readBigUInt64LE(at + 8), before.subarray(at + 16, at + slotBytes))
    }
  }

  #keyOf(path: readonly string[]): bigint {
    // Salted, so that nobody makes files whose places collide.
    return crypto.hash("sha256", this.#salt + path.join("/"), "buffer").readBigUInt64LE() || 1n
  }

  #stateOf({ dev, ino, ctimeNs }: LocalItem): bigint {
    // Nobody chooses a ctime: mixing is enough, and a hash would cost as much as looking at the file.
    return BigInt.asUintN(64, (ctimeNs * ctimeFactor) ^ (ino * inodeFactor) ^ (dev * deviceFactor)) || 1n
  }
}

function emptyTable(slots: number, salt: Uint8Array): Buffer {
  const table = Buffer.alloc(headerBytes + slots * slotBytes)
  table.set(magic)
  table.set(salt, magic.length)
  return table
}

/** Undefined for what is no whole table of ours. */
function read(file: string): Buffer | undefined {
  try {
    const size = fs.statSync(file).size
    const slots = (size - headerBytes) / slotBytes
    if (!Number.isInteger(Math.log2(slots)) || slots < fewestSlots || slots > mostSlots) return undefined
    const table = fs.readFileSync(file)
    return table.length === size && table.subarray(0, magic.length).equals(magic) ? table : undefined
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined
    throw error
  }
}
