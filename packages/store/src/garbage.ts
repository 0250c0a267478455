/** Removing shares that nothing refers to: a mark by the caller, a sweep with a grace period here. */
import { toHex } from "@holdfast/core"
import { type Backend, checkListing, type ShareInfo } from "@holdfast/protocol"

/** What to keep. */
export interface GarbageOptions {
  /** True for chunk ids (hexadecimal) that are still referred to. */
  readonly keep: (chunkId: string) => boolean
  /** Shares touched after this moment stay, whatever `keep` says: an upload may be under way. */
  readonly touchedBeforeMs: number
  /** Only counts. */
  readonly dryRun?: boolean
}

/** What a sweep removed (or would). */
export interface GarbageResult {
  readonly shares: number
  readonly bytes: number
  readonly kept: number
}

const pageSize = 1024

/** Sweeps one server's shares of this tenant. */
export async function sweepServer(backend: Backend, options: GarbageOptions): Promise<GarbageResult> {
  // Asked again when each is removed, as somebody may need a share again that was just listed.
  const touchedBeforeMs = Math.min(Math.max(0, Math.floor(options.touchedBeforeMs)), Number.MAX_SAFE_INTEGER)
  let after: ShareInfo | undefined
  let [shares, bytes, kept] = [0, 0, 0]
  for (;;) {
    const page = await backend.listShares(after ? { after, limit: pageSize } : { limit: pageSize })
    const garbage = page.filter((share) => share.touchedMs < touchedBeforeMs && !options.keep(toHex(share.id)))
    shares += garbage.length
    kept += page.length - garbage.length
    for (const share of garbage) bytes += share.sizeBytes
    if (!options.dryRun && garbage.length > 0)
      await backend.removeShares(garbage.map(({ id, index }) => ({ id, index, touchedBeforeMs })))
    after = page.at(-1)
    if (!after) return { shares, bytes, kept }
    checkListing(backend.id, shares + kept, after.id)
  }
}
