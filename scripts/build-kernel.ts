/** Compiles the erasure kernel from WebAssembly text to a module of our sources. */
import { readFile, stat, writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import createWabt from "wabt"

const source = fileURLToPath(new URL("../packages/core/src/erasure/kernel.wat", import.meta.url))
const target = fileURLToPath(new URL("../packages/core/src/erasure/kernel.generated.ts", import.meta.url))

/** Builds the kernel unless what was built is newer than its source. */
export async function buildKernel(): Promise<void> {
  const [from, to] = await Promise.all([stat(source), stat(target).catch(() => undefined)])
  if (to && to.mtimeMs > from.mtimeMs) return
  const wabt = await createWabt()
  const parsed = wabt.parseWat("kernel.wat", await readFile(source, "utf8"), { simd: true })
  parsed.validate()
  const { buffer } = parsed.toBinary({})
  const base64 = Buffer.from(buffer).toString("base64")
  await writeFile(
    target,
    `/** Built from kernel.wat by scripts/build-kernel.ts: the module in base64. */\nexport const kernelBase64 =\n  "${base64}"\n`,
  )
}
