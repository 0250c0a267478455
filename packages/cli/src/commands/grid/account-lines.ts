/** What `coordinator accounts` and `volume accounts` have in common: how accounts are shown, named, and dropped with care. */
import type { AccountTotal } from "@holdfast/client/volumes"
import { HoldfastError, isoTime, toHex } from "@holdfast/core"
import { legacyAccount } from "@holdfast/protocol"
import { confirm } from "../../confirm.ts"
import type { Context } from "../../context.ts"
import { plural } from "../../words.ts"
import { humanSize } from "../files/listing.ts"

/** A line of a list. */
export function lineOf(account: AccountTotal): string {
  const { id, bytes, shares, seenDay, devices, droppedAtMs } = account
  const seen = seenDay > 0 ? `last here ${dayOf(seenDay * 86_400_000)}` : "never here"
  return [
    ` ${nameOf(id).padEnd(18)}`,
    `${humanSize(bytes)} in ${plural(shares, "share")}`,
    ...(id === toHex(legacyAccount) ? [] : [seen]),
    ...(devices.length > 0 ? [devices.join(", ")] : []),
    ...(droppedAtMs === undefined ? [] : [`DROPPED: goes on ${dayOf(droppedAtMs)}`]),
  ].join("  ")
}

/** The same for --json. */
export function jsonOf({ id, seenDay, droppedAtMs, ...rest }: AccountTotal) {
  return {
    id,
    name: nameOf(id),
    ...rest,
    seen: seenDay > 0 ? dayOf(seenDay * 86_400_000) : null,
    droppedAtMs: droppedAtMs ?? null,
  }
}

/** The account that was meant, by its whole id or by first digits that only one has. */
export async function idOf(text: string, list: () => Promise<readonly AccountTotal[]>): Promise<string> {
  if (text === "legacy") return toHex(legacyAccount)
  if (/^[0-9a-f]{64}$/.test(text)) return text
  if (!/^[0-9a-f]{8,63}$/.test(text))
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `"${text}" is no account: give 8 digits or more of its id, as \`accounts list\` shows it.`,
    )
  const found = (await list()).filter(({ id }) => id.startsWith(text))
  if (found.length === 1) return found[0]!.id
  throw new HoldfastError(
    found.length === 0 ? "ERR_NOT_FOUND" : "ERR_INVALID_ARGUMENT",
    found.length === 0
      ? `No place that answered holds anything for an account ${text}….`
      : `${found.length} accounts begin with ${text}: give more digits.`,
  )
}

/** How an account is called. */
export function nameOf(id: string): string {
  return id === toHex(legacyAccount) ? "legacy" : id.slice(0, 16)
}

/**
 * Asks before the last account goes that holds anything: then nothing is left. Throws ERR_INVALID_ARGUMENT, with what to add to
 * the command, where nobody can be asked, and ERR_ABORTED.
 */
export async function confirmLast(
  context: Context,
  id: string,
  { all, yes, where }: { readonly all: readonly AccountTotal[]; readonly yes: boolean; readonly where: string },
): Promise<void> {
  const holds = ({ shares, droppedAtMs }: AccountTotal) => shares > 0 && droppedAtMs === undefined
  const holder = all.find((one) => one.id === id && holds(one))
  if (yes || !holder || all.some((one) => one.id !== id && holds(one))) return
  const warning = `${nameOf(id)} is the last account that holds anything ${where}: ${humanSize(holder.bytes)}. When its time is over nothing is left there.`
  await confirm(context, {
    ...{ warning, question: "Drop it?", refusal: `${nameOf(id)} stays.` },
    insteadOfAsking: "To drop it all the same: --yes",
  })
}

function dayOf(ms: number): string {
  return isoTime(ms).slice(0, 10)
}
