/**
 * From before there were accounts: the account's list gets the profile's aliases, everything that its roots need is marked for it, and
 * trees that it can write get an owner and a history that proves itself. Nothing is taken away, and what is done already is not done
 * again: it may be interrupted anywhere and run again.
 */
import {
  appendOnly,
  claimTree,
  listKeysOn,
  ownKits,
  readAccountList,
  syncAccount,
  withKits,
} from "@holdfast/client/account"
import { gridName, type Session } from "@holdfast/client/volumes"
import { gather, type Needed } from "@holdfast/fs/care"
import { registerIdOf } from "@holdfast/protocol"
import type { Collection } from "@holdfast/store"
import { filesOfSession } from "../commands/files/open.ts"

/** How it is done. */
export interface UpgradeAccountOptions {
  /** Only tells what would be done. */
  readonly dryRun: boolean
  /** Leaves trees without an owner as they are: they are somebody else's. */
  readonly claims?: boolean
  readonly warn: (text: string) => void
}

/** What was done on a volume, or would be. */
export interface AccountUpgrade extends Pick<Needed, "problems" | "lost"> {
  /** Aliases that were not in the account's list yet. */
  readonly listed: readonly string[]
  /** Aliases of trees that had no owner: it is this account's devices now. */
  readonly claimed: readonly string[]
  /** Chunks that the account's roots need. */
  readonly liveChunks: number
  /** How many of them each place held without a mark of the account. */
  readonly marked: ReadonlyMap<string, number>
  /** Why places took no part. */
  readonly leftOut: ReadonlyMap<string, string>
  /** Why places do not hold all that the account needs. */
  readonly refused: Collection["refused"]
}

/** Lists and marks on the session's volume. Throws ERR_REFUSED on an append-only device, and when a root's list cannot be read. */
export async function upgradeAccount(session: Session, options: UpgradeAccountOptions): Promise<AccountUpgrade> {
  const { dryRun, claims = true, warn } = options
  const { store, profile, volume } = session
  const account = await profile.account()
  if (!account.keys) throw appendOnly("mark what the account needs")
  const unlisted = unlistedOf(session)
  const list = dryRun ? await readAccountList(session) : await synced(session, warn)
  const roots = [
    ...[...list.roots].map(([name, { cap }]) => ({ label: `${name}:`, cap })),
    ...(dryRun ? unlisted.map(([name, cap]) => ({ label: `${name}:`, cap })) : []),
  ]
  const collection = await store.beginCollection({ takes: false })
  const listRegister = registerIdOf((await listKeysOn(account, session.storage)).publicKey)
  const { kits } = withKits(list, await ownKits(profile, volume))
  const parts = gather({
    ...{
      env: session.env,
      store,
      files: filesOfSession(session),
      account: account.id,
      collection,
      roots,
      linked: list.linked,
      warn,
      trim: false,
      clocks: new Map(),
    },
    registers: [listRegister, ...kits.map(({ register }) => register)],
  })
  let claimed: string[] | undefined
  let [problems, lost]: [Needed["problems"], Needed["lost"]] = [[], []]
  let liveChunks = 0
  const marked = new Map<string, number>()
  for await (const { live, registers, ...walked } of parts) {
    claimed ??= claims ? await claimAll(session, roots, dryRun) : []
    const adopted = await collection.adopt({ live, registers, list: listRegister, dryRun })
    for (const [place, count] of adopted) marked.set(place, (marked.get(place) ?? 0) + count)
    ;[problems, lost] = [walked.problems, walked.lost]
    liveChunks += live.size
  }
  const { leftOut, refused } = collection
  return {
    problems,
    lost,
    listed: unlisted.map(([name]) => name),
    claimed: claimed ?? [],
    liveChunks,
    marked,
    ...{ leftOut, refused },
  }
}

async function claimAll(
  session: Session,
  roots: readonly { readonly label: string; readonly cap: string }[],
  dryRun: boolean,
): Promise<string[]> {
  const claimed: string[] = []
  for (const { label, cap } of roots) if (await claimTree(session, cap, { dryRun })) claimed.push(label.slice(0, -1))
  return claimed
}

async function synced(session: Session, warn: (text: string) => void) {
  const { list, notes } = await syncAccount(session)
  for (const note of notes) warn(note)
  return list
}

/** Aliases of the volume that come from before there were accounts. */
function unlistedOf({ profile, volume }: Session): [string, string][] {
  return [...profile.aliases].filter(
    ([alias]) => (profile.volumeOf(alias) ?? gridName) === volume && profile.aliasState(alias) === undefined,
  )
}
