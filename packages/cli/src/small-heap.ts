/**
 * Bytes pass through in small arrays outside the heap. To V8 they fill a heap as small as ours every few megabytes, and it
 * would mark the whole of it each time: a third of the processor. So a small heap may grow to several times its size; one
 * that is large by itself, as with very many files, grows by the usual measure.
 */
import { getHeapStatistics, setFlagsFromString } from "node:v8"

const smallHeapBytes = 48 * 1024 * 1024
const lookEveryMs = 500

/** Lets this process's heap grow while it is small. */
export function growSmallHeap(): void {
  setFlagsFromString("--heap-growing-percent=400")
  const watch = setInterval(() => {
    if (getHeapStatistics().used_heap_size < smallHeapBytes) return
    setFlagsFromString("--heap-growing-percent=0")
    clearInterval(watch)
  }, lookEveryMs)
  watch.unref()
}
