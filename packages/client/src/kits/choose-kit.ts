/**
 * Which of the kits that places hold is restored. Only who knows the words can make a protected kit, so the newest that opens is the
 * one: places that were full when it was made, and others that lie, may together hold more parts of the one before. Anybody who may
 * write to a place can make one without words, so of those it counts how many places hold parts: up to f that lie are always fewer than
 * those that hold the true one.
 */
import { type CryptoProvider, HoldfastError } from "@holdfast/core"
import { type FoundKit, type KitSecret, keyOfKit, type OpenedKit, openKit } from "./kit.ts"

/** What the user said about the kit. */
export interface Wish {
  /** Name of the kit, for messages. */
  readonly name: string
  /** First digits of the id of the kit that is meant. */
  readonly id?: string | undefined
  /** The words or passphrase; without, only a kit is taken that is not protected. */
  readonly secret?: KitSecret | undefined
}

/** The kits that places hold. */
export interface Held {
  /** In the register that the words lead to; none without words. */
  readonly hidden: readonly FoundKit[]
  /** In the register that everybody finds. */
  readonly open: readonly FoundKit[]
}

/** The kit to restore, and others that have enough parts too. */
export interface Choice {
  readonly kit: OpenedKit
  /** Opened as well, but older, or on fewer places. */
  readonly others: readonly OpenedKit[]
}

/**
 * Opens the newest kit; without words the one that most places hold, the newest of several. One of version 1 only when there is no other.
 * Throws
 * ERR_NOT_FOUND, ERR_NOT_ENOUGH_SHARES, ERR_WRONG_PASSPHRASE, ERR_LOCKED, ERR_REFUSED, ERR_CORRUPT.
 */
export async function chooseKit(crypto: CryptoProvider, held: Held, wish: Wish): Promise<Choice> {
  const { name, id, secret } = wish
  // Who knows no words can still make a kit without them: it must not pass for one that has them.
  const all = [...held.hidden, ...held.open].filter(({ body }) => body.isProtected === (secret !== undefined))
  if (all.length === 0) throw nothing(held, wish)
  const named = id === undefined ? all : all.filter((kit) => kit.id.startsWith(id.toLowerCase()))
  if (named.length === 0)
    throw new HoldfastError(
      "ERR_NOT_FOUND",
      `None of these places holds a part of the recovery kit ${id}. They hold parts of: ${all.map(shortId).join(", ")}.`,
    )
  const whole = await withKeys(named)
  if (whole.length === 0) throw tooFew(named)
  const opened: OpenedKit[] = []
  for (const { kit, key } of whole) {
    const one = await openKit(crypto, kit, { key, secret })
    if (one) opened.push(one)
  }
  const [byParts, byTime] = [
    (a: OpenedKit, b: OpenedKit) => b.parts.size - a.parts.size,
    (a: OpenedKit, b: OpenedKit) => b.secrets.createdMs - a.secrets.createdMs,
  ]
  const byWorth = (a: OpenedKit, b: OpenedKit) =>
    secret ? byTime(a, b) || byParts(a, b) : byParts(a, b) || byTime(a, b)
  opened.sort((a, b) => b.body.version - a.body.version || byWorth(a, b))
  const [kit, ...others] = opened
  if (kit) return { kit, others }
  if (secret && whole.every((one) => one.kit.body.version === 1))
    throw new HoldfastError("ERR_WRONG_PASSPHRASE", "That is not the passphrase of this recovery kit. Try again.")
  throw new HoldfastError("ERR_CORRUPT", `The recovery kit "${name}" was made wrongly and cannot be opened.`)
}

function nothing({ open }: Held, { name, secret }: Wish): HoldfastError {
  if (secret && open.length > 0)
    return new HoldfastError(
      "ERR_REFUSED",
      `These places hold no recovery kit "${name}" for these words or this passphrase, but one that has none, which anybody may have put there. If yours was made without: --without-passphrase.`,
    )
  if (secret)
    return new HoldfastError(
      "ERR_NOT_FOUND",
      `None of these places holds a part of the recovery kit "${name}" for these words or this passphrase: they find it only when every letter, the name (--name) and the places are right.`,
    )
  if (open.length > 0)
    return new HoldfastError(
      "ERR_LOCKED",
      `The recovery kit "${name}" that these places hold has a passphrase. Leave --without-passphrase out.`,
    )
  return new HoldfastError(
    "ERR_NOT_FOUND",
    `None of these places holds a part of a recovery kit "${name}" without words or passphrase. Name it with --name, or name other places.`,
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
