/**
 * Trees from before there were owners: the account's device that upgrades them becomes the owner, who alone can lead a tree out of
 * version numbers that a writer has burnt. Whoever may write may do so; the first one stays. Specification: docs/formats/register.md.
 */
import { HoldfastError } from "@holdfast/core"
import { nodeEnv } from "@holdfast/core/node"
import { decodeCap } from "@holdfast/protocol"
import { keysOfCap } from "@holdfast/store"
import { decodeCare, Tree } from "@holdfast/tree"
import type { Session } from "../volumes/session.ts"

const maxAttempts = 10

/** Claims the tree behind a capability; only tells whether it would with `dryRun`. False when it has an owner, or may not be written. */
export async function claimTree(
  { store: { chunks, registers } }: Pick<Session, "store">,
  text: string,
  { dryRun }: { readonly dryRun: boolean },
): Promise<boolean> {
  const cap = decodeCap(text)
  if (cap.kind !== "dw" && cap.kind !== "fw") return false
  const keys = await keysOfCap(nodeEnv.crypto, cap)
  for (let attempt = 1; attempt <= maxAttempts; attempt++) {
    const value = await registers.read(keys)
    if (!value || value.isOwned) return false
    if (dryRun) return true
    const { epoch = 0, sequence, siblings, content, care } = value
    if (siblings) await new Tree({ chunks, registers, env: nodeEnv, keys }).commitState(async (state) => state)
    else {
      const { accounts } = decodeCare(care)
      if (await registers.write(keys, sequence, { content, care }, { accounts, claim: true, afterEpoch: epoch }))
        return true
    }
  }
  throw new HoldfastError(
    "ERR_CONFLICT",
    "Others write to a tree all the time, so that its owner could not be named. Run `holdfast upgrade` again.",
  )
}
