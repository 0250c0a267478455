/**
 * Joining a grid with an identity folder of its own, as nodes do, also again: a node whose certificate is refused gets a new key and
 * certificate, as a new member. The identity before stays beside it. Specification: docs/protocols/join.md, Again.
 */
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import { type Joined, type JoinOptions, join, joinedOf, loadIdentity, loadMemberRecord } from "@holdfast/network"
import { hasGrid } from "../volumes/choose.ts"
import { isWhole, joinNext, keepPins, replaceIdentity, whyRefused } from "./rejoin.ts"

/** Whose identity it is. */
export interface JoinNodeOptions extends JoinOptions {
  /** Tells the user what is done beside what was asked for. */
  readonly tell: (text: string) => void
}

/** Joins. Throws as `join`, and ERR_ALREADY_EXISTS for a member that is let in. */
export async function joinNode(invitation: string, { tell, ...options }: JoinNodeOptions): Promise<Joined> {
  const identity = resolve(options.dir)
  const next = `${identity}.next`
  if (!hasGrid({ identityDir: identity }) && !isWhole(next)) return join(invitation, options)
  await joinNext(invitation, { ...options, next }, async () => {
    const why = await whyRefused(invitation, {
      what: `identity in ${identity}`,
      identityDir: identity,
      identity: () => loadIdentity(identity),
      advice: "Name another folder: --identity FOLDER.",
    })
    tell(
      `${why} Joining anew with a new key, as a new member. A node that runs with the old one has to be started again.`,
    )
  })
  const identified = await loadIdentity(next)
  await keepPins({ identity, next })
  const old = await asideOf(identity)
  await replaceIdentity({ identity, next }, old)
  if (existsSync(old)) tell(`The identity before is in ${old}. Remove it when you need it no more.`)
  const { witness } = await loadMemberRecord(identity)
  return { ...joinedOf(identified), ...(witness && { witness }) }
}

/** Where the identity before goes: a name that nothing has. */
async function asideOf(identity: string): Promise<string> {
  if (!hasGrid({ identityDir: identity })) return `${identity}.old` // it went there when the last try was cut short
  const { memberId } = await loadMemberRecord(identity)
  for (let i = 1; ; i++) {
    const old = `${identity}.old-${memberId}${i === 1 ? "" : `-${i}`}`
    if (!existsSync(old)) return old
  }
}
