/** What one operation may cost: memory, as far as the network carries it, and simulated time when nothing fails. */
import type { SimulatedClient } from "./client.ts"
import type { Fail } from "./history.ts"

/** No operation takes longer in simulated time when nothing fails, though places may be away. */
const longestWithoutFaultsMs = 2 * 60_000
/** More bytes than requests and answers of these small trees take at once. */
const mostBytes = 48 * 1024 * 1024
/** Answers that hold shares or register values, and how much others can be at most: these clients ask for some dozens of chunks at once. */
const largeAnswers = new Set([
  "shares/get",
  "shares/blocks",
  "registers/read",
  "registers/kept",
  "registers/propose",
  "get",
])
const mostAnswerBytes = 17 * 1024 * 1024
const mostSmallAnswerBytes = 640 * 1024

/** What a client holds is bounded, whatever places answer. */
export function checkMemory({ fail }: { readonly fail: Fail }, { id, memory }: SimulatedClient): void {
  if (memory.most > mostBytes)
    fail("memory is bounded", `${id} had ${memory.most} bytes of requests and answers at once`)
  for (const [name, bytes] of memory.answers)
    if (bytes > (largeAnswers.has(name) ? mostAnswerBytes : mostSmallAnswerBytes))
      fail("memory is bounded", `${id} took an answer of ${bytes} bytes to ${name}`)
}

/** How long an operation took when nothing failed is bounded. */
export function checkTime({ fail }: { readonly fail: Fail }, what: string, tookMs: number): void {
  if (tookMs > longestWithoutFaultsMs)
    fail("without faults operations end soon", `${what} took ${Math.round(tookMs / 1000)} s`)
}
