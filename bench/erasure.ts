/** The erasure code alone, in WebAssembly and in plain JavaScript, beside copying the same memory. */
import { randomBytes } from "node:crypto"
import { createErasure, createScalarErasure, type Erasure } from "@holdfast/core/erasure"
import { record } from "./command.ts"

const dataBytes = 4 * 1024 * 1024
const codings = [
  { k: 2, n: 3 },
  { k: 3, n: 5 },
  { k: 3, n: 10 },
  { k: 4, n: 6 },
  { k: 10, n: 14 },
]
const data = new Uint8Array(randomBytes(dataBytes))

/** MB of data per second, from as many rounds as fit half a second. */
function rate(work: () => void): number {
  work()
  const start = performance.now()
  let rounds = 0
  while (performance.now() - start < 500) {
    work()
    rounds++
  }
  return (rounds * dataBytes) / 1e3 / (performance.now() - start)
}

function line(name: string, ...rates: readonly number[]): void {
  record(name, { mbPerSecond: rates })
  process.stdout.write(`${name.padEnd(34)}${rates.map((value) => value.toFixed(0).padStart(10)).join("")}\n`)
}

function measure(name: string, erasure: Erasure): void {
  for (const coding of codings) {
    const { k, n } = coding
    const payloads = Array.from({ length: n }, () => new Uint8Array(Math.ceil(dataBytes / k)))
    const encode = rate(() => erasure.split(data, coding, payloads))
    // The worst case for a reader: as many data shares lost as there is parity.
    const held = new Map(payloads.map((payload, index) => [index, payload] as const).slice(-k))
    const target = new Uint8Array(k * payloads[0]!.length)
    const decode = rate(() => erasure.join(held, coding, dataBytes, target))
    line(`${name} ${k}-of-${n}`, encode, decode)
  }
}

process.stdout.write(`${"MB of data per second, one thread".padEnd(34)}    encode    decode\n`)
const copy = new Uint8Array(dataBytes)
const copied = rate(() => copy.set(data))
line("memory copy", copied, copied)
measure("WebAssembly SIMD", await createErasure())
measure("JavaScript", createScalarErasure())
