/** Linear combinations of byte arrays over GF(2^8): in WebAssembly SIMD where it runs, else in plain JavaScript. */
import { multiply } from "./gf256.ts"
import { kernelBase64 } from "./kernel.generated.ts"
import type { Row } from "./matrix.ts"

/** Sets each output to the sum of its row's coefficients times the inputs; all arrays have one length. */
export type Combine = (inputs: readonly Uint8Array[], rows: readonly Row[], outputs: readonly Uint8Array[]) => void

/** Bytes of each input worked on at a time, so that they stay in the processor's cache. */
const blockBytes = 16_384
const tableBytes = 32

/** Code is compiled once; each kernel has memory of its own. */
let compiled: Promise<WebAssembly.Module | undefined> | undefined

async function compileKernel(): Promise<WebAssembly.Module | undefined> {
  const code = Uint8Array.from(atob(kernelBase64), (letter) => letter.charCodeAt(0))
  return WebAssembly.validate(code) ? WebAssembly.compile(code) : undefined
}

/** The SIMD kernel, or undefined where the platform cannot run it. */
export async function createSimdCombine(): Promise<Combine | undefined> {
  compiled ??= compileKernel()
  const kernelModule = await compiled
  if (!kernelModule) return undefined
  const instance = new WebAssembly.Instance(kernelModule)
  const memory = instance.exports["memory"] as WebAssembly.Memory
  const kernel = instance.exports["combine"] as (...args: number[]) => void
  return (inputs, rows, outputs) => combineInBlocks(memory, kernel, inputs, rows, outputs)
}

function combineInBlocks(
  memory: WebAssembly.Memory,
  kernel: (...args: number[]) => void,
  inputs: readonly Uint8Array[],
  rows: readonly Row[],
  outputs: readonly Uint8Array[],
): void {
  const k = inputs.length
  const tablesEnd = rows.length * k * tableBytes
  const sources = Math.ceil(tablesEnd / 64) * 64
  const target = sources + k * blockBytes
  growTo(memory, target + blockBytes)
  const bytes = new Uint8Array(memory.buffer)
  for (const [r, row] of rows.entries()) writeTables(bytes, r * k * tableBytes, row)
  const length = inputs[0]?.length ?? 0
  for (let start = 0; start < length; start += blockBytes) {
    const size = Math.min(blockBytes, length - start)
    for (let j = 0; j < k; j++) bytes.set(inputs[j]!.subarray(start, start + size), sources + j * blockBytes)
    for (let r = 0; r < rows.length; r++) {
      kernel(r * k * tableBytes, sources, blockBytes, k, target, size)
      outputs[r]!.set(bytes.subarray(target, target + size), start)
    }
  }
}

function growTo(memory: WebAssembly.Memory, size: number): void {
  const missing = size - memory.buffer.byteLength
  if (missing > 0) memory.grow(Math.ceil(missing / 65_536))
}

function writeTables(bytes: Uint8Array, at: number, row: Row): void {
  for (let j = 0; j < row.length; j++)
    for (let nibble = 0; nibble < 16; nibble++) {
      bytes[at + j * tableBytes + nibble] = multiply(row[j]!, nibble)
      bytes[at + j * tableBytes + 16 + nibble] = multiply(row[j]!, nibble << 4)
    }
}

/** The same in plain JavaScript, a table of 256 products for each coefficient. */
export const scalarCombine: Combine = (inputs, rows, outputs) => {
  const products = new Uint8Array(256)
  for (const [r, row] of rows.entries()) {
    const output = outputs[r]!
    output.fill(0)
    for (const [j, input] of inputs.entries()) {
      for (let value = 0; value < 256; value++) products[value] = multiply(row[j]!, value)
      for (let i = 0; i < output.length; i++) output[i]! ^= products[input[i]!]!
    }
  }
}
