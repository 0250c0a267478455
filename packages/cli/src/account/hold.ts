/** Holding at once what is taken into the account's list, or linked in one of its trees. */
import type { Session } from "@holdfast/client/volumes"
import { isHoldfastError } from "@holdfast/core"
import type { Item } from "@holdfast/fs"
import { holdCap, linkedIn } from "@holdfast/fs/care"
import { filesOfSession } from "../commands/files/open.ts"

/** Who is told of what is not held, and how that is called. */
interface HoldOptions {
  readonly label: string
  readonly warn: (text: string) => void
}

/** Marks the trees that are linked in what was copied from one tree to another. */
export async function holdLinks(session: Session, item: Item, { label, warn }: HoldOptions): Promise<void> {
  for await (const { cap, place } of linkedIn(item, label))
    try {
      await holdNow(session, await cap(), { label: place, warn })
    } catch (error) {
      if (!isHoldfastError(error) || error.code === "ERR_ABORTED") throw error
      warn(`${place} is not held by this account: ${error.message}`) // it was copied all the same
    }
}

/**
 * Marks all that `cap` stands for; true when all of it could be. What cannot be marked is told to `warn` with what to do: the
 * capability stays good as long as others keep its tree.
 */
export async function holdNow(session: Session, cap: string, { label, warn }: HoldOptions): Promise<boolean> {
  try {
    const { env, store, profile } = session
    const { id: account } = await profile.account()
    const problems = await holdCap({ env, store, files: filesOfSession(session) }, cap, { label, account, warn })
    for (const { label: part, why } of problems) warn(`${part} is not held whole: ${why}`)
    return problems.length === 0
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    warn(
      `${label} is not held by this account yet, only by others: ${error.message} Then run \`holdfast gc\`, which holds it.`,
    )
    return false
  }
}
