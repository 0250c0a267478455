/** `gc` of a volume: the account's list, as the package `client` has it, for the collection of the package `fs`. */
import {
  absorb,
  changeAccountList,
  collectorOf,
  deviceRegisters,
  listKeysOn,
  publishListed,
  syncAccount,
} from "@holdfast/client/account"
import type { Session } from "@holdfast/client/volumes"
import {
  type CollectGarbageOptions,
  type CollectingAccount,
  type CollectReport,
  collectGarbage,
  type NeededRoot,
} from "@holdfast/fs/care"
import { type AccountList, registerIdOf, verifyKeyOf } from "@holdfast/protocol"
import { filesOfSession } from "../commands/files/open.ts"

/** What was collected on a volume of the profile. */
export interface VolumeReport extends CollectReport {
  readonly volume: string
}

/** Collects on the session's volume. Throws ERR_REFUSED on an append-only device, and when it cannot be known what a root needs. */
export async function collectAccount(session: Session, options: CollectGarbageOptions): Promise<VolumeReport> {
  const { env, store, volume } = session
  const account = await collectingAccount(session, options)
  const report = await collectGarbage({ env, store, files: filesOfSession(session) }, account, options)
  return { volume, ...report }
}

async function collectingAccount(
  session: Session,
  { dryRun, warn }: Pick<CollectGarbageOptions, "dryRun" | "warn">,
): Promise<CollectingAccount> {
  const account = await session.profile.account()
  let list: AccountList | undefined
  return {
    id: account.id,
    collector: collectorOf(account),
    async list(collection) {
      const { notes, list: before } = await syncAccount(session)
      for (const note of notes) warn(note)
      const devices = await deviceRegisters(account, session, before.grants)
      list = await absorb(session, { collection, devices, dryRun, warn })
      const { roots, keepMs, linked, kits } = list
      const { publicKey, readKey } = await listKeysOn(account, session.storage)
      return {
        roots: [...roots].map(
          ([name, root]): NeededRoot => ({
            label: `${name}:`,
            cap: root.cap,
            keepMs: root.keepMs ?? keepMs,
            isOwn: true,
          }),
        ),
        linked,
        list: { publicKey, verifyKey: verifyKeyOf(readKey) },
        registers: [...devices.map(({ register }) => register), ...kits.map(({ register }) => register)],
      }
    },
    async noteLinked({ linked, isWhole }) {
      // None is remembered for ever: a tree that nothing links any more would never be freed.
      await changeAccountList(session, (now) => {
        const next = isWhole ? [...linked].sort() : [...new Set([...now.linked, ...linked])].sort()
        const isSame = next.length === now.linked.length && next.every((cap, i) => cap === [...now.linked].sort()[i])
        return isSame ? now : { ...now, linked: next }
      })
      if (list) await publishListed(account, session, list)
    },
  }
}
