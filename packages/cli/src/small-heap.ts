/**
 * How far this process's heap grows before what is dead in it is looked for.
 *
 * Bytes pass through in small arrays outside the heap. To V8 they fill a heap as small as ours every few megabytes, and it would mark
 * the whole of it each time: a third of the processor. So it may grow to a size that is little to a machine, whatever lives in it.
 * Beyond, left to itself it would grow to several times of what lives, and go through its nursery of up to 128 MiB in turn: with very
 * many files that is most of what a command takes.
 */
import { constants, type NodeGCPerformanceDetail, type PerformanceEntry, PerformanceObserver } from "node:perf_hooks"
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from "node:v8"

const mib = 1024 * 1024
/** The heap may grow to this in any case. */
const plentyBytes = 72 * mib
/** Beyond that, by so much of what lives in it, in percent. */
const leastGrowth = 30
const mostGrowth = 400
/** A nursery that no longer grows: a larger one is hardly quicker. */
const nurseryBytes = 8 * mib
/** Of what is used at most so much will turn out to live, as a rule. */
const likelyAlive = 0.75

/** Lets this process's heap grow while it is small, and keeps it from growing far beyond what lives in it. */
export function growSmallHeap(): void {
  growBy(mostGrowth)
  let livedBytes = 0
  let isNurseryGrown = false
  const observer = new PerformanceObserver((list) => {
    if (!isNurseryGrown && nurserySize() >= nurseryBytes) {
      isNurseryGrown = true
      setFlagsFromString("--semi-space-growth-factor=1")
    }
    const { used_heap_size: usedBytes } = getHeapStatistics()
    const isMajor = list.getEntries().some((entry) => kindOf(entry) === constants.NODE_PERFORMANCE_GC_MAJOR)
    if (isMajor) livedBytes = usedBytes
    growBy(growthFor(Math.max(livedBytes, likelyAlive * usedBytes)))
  })
  observer.observe({ entryTypes: ["gc"] })
}

/** By how much of it a heap may grow, in percent, in which so many bytes live. */
export function growthFor(liveBytes: number): number {
  const toPlenty = Math.floor((100 * (plentyBytes - liveBytes)) / liveBytes)
  return Math.max(leastGrowth, Math.min(mostGrowth, toPlenty))
}

/** Counts when dead objects have been taken away the next time. */
function growBy(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`)
}

function nurserySize(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space")?.space_size ?? 0
}

/** Which sort of collection an entry tells of. */
function kindOf(entry: PerformanceEntry): number | undefined {
  return (entry as PerformanceEntry & { readonly detail?: NodeGCPerformanceDetail }).detail?.kind
}
