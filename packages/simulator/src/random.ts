/**
 * Chance that can be repeated: xoshiro128** (Blackman and Vigna 2018), seeded from text. Not cryptographic: whoever sees some
 * of it knows the rest. Streams are forked by name, so that leaving out one use does not change the others.
 */
import { createHash } from "node:crypto"

/** A stream of pseudo-random numbers. */
export class Random {
  readonly #name: string
  readonly #state: Uint32Array

  constructor(name: string) {
    this.#name = name
    const digest = createHash("sha256").update(name).digest()
    this.#state = Uint32Array.from({ length: 4 }, (_, i) => digest.readUInt32LE(4 * i))
    this.#state[0]! |= 1 // all zeros would stay so
  }

  /** A stream of its own, the same for the same name however much was drawn from this one. */
  fork(name: string | number): Random {
    return new Random(`${this.#name}/${name}`)
  }

  /** 32 random bits. */
  bits(): number {
    const s = this.#state
    const result = Math.imul(rotated(Math.imul(s[1]!, 5), 7), 9) >>> 0
    const shifted = s[1]! << 9
    s[2]! ^= s[0]!
    s[3]! ^= s[1]!
    s[1]! ^= s[2]!
    s[0]! ^= s[3]!
    s[2]! ^= shifted
    s[3] = rotated(s[3]!, 11)
    return result
  }

  /** A number from 0 up to 1, which it never is. */
  fraction(): number {
    return this.bits() / 2 ** 32
  }

  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1))
  }

  /** True once in 1 / `probability` times. */
  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  /** One of `items`, which must not be empty. */
  pick<T>(items: readonly T[]): T {
    return items[this.between(0, items.length - 1)]!
  }

  /** One of the keys by their weights. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][]
    let left = this.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [key, weight] of entries) {
      left -= weight
      if (left < 0) return key
    }
    return entries.at(-1)![0]
  }

  /** `count` of `items`, in an order of chance. */
  some<T>(items: readonly T[], count: number): T[] {
    const rest = [...items]
    return Array.from(
      { length: Math.min(count, rest.length) },
      () => rest.splice(this.between(0, rest.length - 1), 1)[0]!,
    )
  }

  /** Mostly about `typicalMs`, now and then ten times as long. */
  delayMs(typicalMs: number): number {
    const long = this.chance(0.05) ? 10 : 1
    return typicalMs * long * -Math.log(1 - this.fraction())
  }

  /** Random bytes. */
  bytes(length: number): Uint8Array {
    const words = new Uint32Array(Math.ceil(length / 4))
    for (let i = 0; i < words.length; i++) words[i] = this.bits()
    return new Uint8Array(words.buffer, 0, length)
  }
}

function rotated(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}
