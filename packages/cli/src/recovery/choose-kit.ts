/**
 * Which of the kits that places hold is restored. Anybody who may write to a place can put a kit there, so what counts is
 * how many places hold parts of one that opens: up to f that lie are always fewer than those that hold the true one.
 */
import { HoldfastError } from "@holdfast/core"
import { type FoundKit, keyOfKit, type OpenedKit, openKit } from "./kit.ts"

/** What the user said about the kit. */
export interface Wish {
  /** Name of the kit, for messages. */
  readonly name: string
  /** First digits of the id of the kit that is meant. */
  readonly id?: string | undefined
  /** The passphrase, when one was given: then only a kit under a passphrase is taken. */
  readonly passphrase?: string | undefined
  /** Asks for the passphrase when the kit has one. */
  readonly ask: () => Promise<string>
}

/** The kit to restore, and others that have enough parts too. */
export interface Choice {
  readonly kit: OpenedKit
  /** Opened as well, but older, or on fewer places. */
  readonly others: readonly OpenedKit[]
}

/**
 * Opens the kit that most places hold, the newest of several. Throws ERR_NOT_FOUND, ERR_NOT_ENOUGH_SHARES,
 * ERR_WRONG_PASSPHRASE, ERR_REFUSED, ERR_CORRUPT.
 */
export async function chooseKit(found: readonly FoundKit[], wish: Wish): Promise<Choice> {
  const { name, id, ask } = wish
  const named = id === undefined ? found : found.filter((kit) => kit.id.startsWith(id.toLowerCase()))
  if (named.length === 0)
    throw new HoldfastError(
      "ERR_NOT_FOUND",
      found.length === 0
        ? `None of these places holds a part of the recovery kit "${name}". Name it with --name, or name other places.`
        : `None of these places holds a part of the recovery kit ${id}. They hold parts of: ${found.map(shortId).join(", ")}.`,
    )
  const whole = await withKeys(named)
  if (whole.length === 0) throw tooFew(named)
  const most = Math.max(...whole.map(({ kit }) => kit.parts.size))
  const isAsked = whole.some(({ kit }) => kit.parts.size === most && kit.body.passphrase)
  const passphrase = wish.passphrase ?? (isAsked ? await ask() : undefined)
  const opened: OpenedKit[] = []
  for (const { kit, key } of whole) {
    // Who knows no passphrase can still make a kit without one: it must not pass for one that has it.
    if ((kit.body.passphrase !== undefined) !== (passphrase !== undefined)) continue
    const one = await openKit(kit, key, passphrase)
    if (one) opened.push(one)
  }
  opened.sort((a, b) => b.parts.size - a.parts.size || b.secrets.createdMs - a.secrets.createdMs)
  const [kit, ...others] = opened
  if (kit) return { kit, others }
  if (passphrase === undefined)
    throw new HoldfastError("ERR_CORRUPT", `The recovery kit "${name}" was made wrongly and cannot be opened.`)
  if (whole.some((one) => one.kit.body.passphrase))
    throw new HoldfastError("ERR_WRONG_PASSPHRASE", "That is not the passphrase of this recovery kit. Try again.")
  throw new HoldfastError(
    "ERR_REFUSED",
    `These places hold a recovery kit without a passphrase: not the one that you made with a passphrase. Leave the passphrase out if you made it without.`,
  )
}

/** The first digits of a kit's id: enough to tell kits apart. */
export function shortId({ id }: Pick<FoundKit, "id">): string {
  return id.slice(0, 16)
}

async function withKeys(kits: readonly FoundKit[]): Promise<{ kit: FoundKit; key: Uint8Array }[]> {
  const keys = await Promise.all(kits.map(keyOfKit))
  return kits.flatMap((kit, i) => (keys[i] ? [{ kit, key: keys[i] }] : []))
}

function tooFew(kits: readonly FoundKit[]): HoldfastError {
  const [best] = [...kits].sort((a, b) => b.parts.size - a.parts.size)
  const { body, parts } = best!
  return new HoldfastError(
    "ERR_NOT_ENOUGH_SHARES",
    parts.size >= body.threshold
      ? `The parts of the recovery kit ${shortId(best!)} do not fit together: it was made wrongly.`
      : `These places hold ${parts.size} good ${parts.size === 1 ? "part" : "parts"} of the recovery kit ${shortId(best!)}, which needs ${body.threshold}. Name more of its ${body.shareHashes.length} places.`,
    { found: parts.size, needed: body.threshold, places: body.shareHashes.length },
  )
}
