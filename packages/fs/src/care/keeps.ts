/** How long values behind the newest of a register are kept. */
import { type CryptoProvider, toHex } from "@holdfast/core"
import { decodeCap, toVerifyCap } from "@holdfast/protocol"
import type { OwnValue } from "@holdfast/store"

/** How values behind the newest are kept where the account cannot have wanted them gone, unless it says otherwise. */
export const usualKeepMs = 14 * 86_400_000

/**
 * How long old values are kept, by register. One tree may be listed under several capabilities, by devices that may not shorten what
 * another listing says: the longest time holds. Without one the last values of any age stay.
 */
export async function longestKeeps(
  crypto: CryptoProvider,
  roots: readonly { readonly cap: string; readonly keepMs?: number | undefined }[],
): Promise<ReadonlyMap<string, number | undefined>> {
  const keeps = new Map<string, number | undefined>()
  for (const { cap: text, keepMs } of roots) {
    const cap = decodeCap(text)
    if (cap.kind === "ci" || cap.kind === "cv" || cap.kind === "lit") continue
    const key = toHex((await toVerifyCap(crypto, cap)).publicKey)
    const other = keeps.has(key) ? keeps.get(key) : keepMs
    keeps.set(key, keepMs === undefined || other === undefined ? undefined : Math.max(keepMs, other))
  }
  return keeps
}

/** The lowest sequence that a place is to keep; undefined when all of its values are. By that place's clock alone. */
export function trimBelow(values: readonly OwnValue[], nowMs: number | undefined, keepMs: number): number | undefined {
  if (nowMs === undefined) return undefined
  const first = values.findIndex((_, i) => i > 0 && nowMs - values[i - 1]!.receivedMs >= keepMs)
  return first > 0 ? values[first - 1]!.sequence : undefined
}
