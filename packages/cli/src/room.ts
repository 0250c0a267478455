/** Whether a place has room for what comes next. */
import { limits } from "@holdfast/core"
import type { Usage } from "@holdfast/protocol"
import { sizeText } from "./progress.ts"

/** Bytes that a place still takes from this account; undefined when it does not tell. */
export function roomOf({ usedBytes, quotaBytes, availableBytes }: Usage): number | undefined {
  const underQuota = quotaBytes === undefined ? undefined : Math.max(0, quotaBytes - usedBytes)
  const known = [underQuota, availableBytes].filter((bytes) => bytes !== undefined)
  return known.length > 0 ? Math.min(...known) : undefined
}

/** Why a place is called full: it has no room for a share of a large file. Undefined when it has. */
export function whyFull(usage: Usage): string | undefined {
  const room = roomOf(usage)
  if (room === undefined || room >= limits.shareBytes) return undefined
  const isQuota = usage.quotaBytes !== undefined && room < (usage.availableBytes ?? Number.POSITIVE_INFINITY)
  const of = isQuota ? `of the quota of ${sizeText(usage.quotaBytes!)}` : "of its disk"
  return `it is full: ${sizeText(room)} left ${of}`
}
