/** What `maintain` looks after: the trees that are named, or all of the profile, by their verify capabilities; by volume. */
import { collectorOf, ownRegisters, readAccountList } from "@holdfast/client/account"
import { everyPlace, gridName, type Session } from "@holdfast/client/volumes"
import { HoldfastError, hashSmall, isHoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { footingOfCap, type MaintainedTree, type MaintainedVolume, onlyVerifies, sweepBuckets } from "@holdfast/fs/care"
import {
  type Cap,
  type ChunkId,
  decodeCap,
  type ImmutableVerifyCap,
  registerIdOf,
  toVerifyCap,
  type VerifyCap,
} from "@holdfast/protocol"
import { collectAccount } from "../account/collect.ts"
import { type CapFinder, type FileFlags, type SessionFinder, withFiles } from "../commands/files/open.ts"
import type { Context } from "../context.ts"
import { parseRemote, type RemoteBase } from "../places.ts"

/** What is looked after, and whether what nothing needs is collected. */
export interface MaintainedPlaces extends FileFlags {
  /** All aliases of the profile when empty. */
  readonly places: readonly string[]
  readonly collects: boolean
  /** Ends a collection that is under way; the context's own signal does in any case. */
  readonly signal?: AbortSignal | undefined
}

interface Found {
  readonly session: Session
  readonly trees: MaintainedTree[]
  /** A tree that is not only verified: its account can tell what it needs. */
  isRead: boolean
}

/** Opens what is looked after now. What cannot be opened is told, unless nothing can: then that is thrown. */
export async function openMaintained(context: Context, options: MaintainedPlaces): Promise<MaintainedVolume[]> {
  const profile = await context.openProfile()
  const isAll = options.places.length === 0
  const isMeant = (alias: string) => [undefined, profile.volumeOf(alias) ?? gridName].includes(context.volume)
  const all = [...profile.aliases.keys()].filter(isMeant).map((alias) => `${alias}:`)
  const places = isAll ? all : options.places
  if (places.length === 0)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      "This profile has no tree to look after: name one, as home: or @file:FILE.",
    )
  return withFiles(context, options, async (open, sessionOf, capOf) => {
    const found = new Map<string, Found>()
    let failure: HoldfastError | undefined
    for (const text of places) {
      try {
        await addTree(text, {
          found,
          sessionOf,
          capOf,
          verifyCapOf: async (base) => (await open(base)).capOf([], "verify"),
        })
      } catch (error) {
        if (!isHoldfastError(error) || error.code === "ERR_ABORTED" || !isAll) throw error
        failure ??= error
        context.warn(`${text} is not looked after: ${error.message}`)
      }
    }
    if (found.size === 0 && failure) throw failure
    return Promise.all([...found.values()].map((one) => volumeOf(context, one, { ...options, isAll })))
  })
}

interface Finders {
  readonly found: Map<string, Found>
  readonly sessionOf: SessionFinder
  readonly capOf: CapFinder
  /** The verify capability of an immutable tree, which has to be read for it. */
  verifyCapOf(base: RemoteBase): Promise<string>
}

async function addTree(text: string, { found, sessionOf, capOf, verifyCapOf }: Finders): Promise<void> {
  const { base, path } = parseRemote(text)
  if (path.length > 0)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      "Whole trees are looked after: write the place without a path, as home:",
    )
  const cap = await capOf(base)
  if (cap.kind === "lit") return
  const session = await sessionOf(base)
  const one = found.get(session.volume) ?? { session, trees: [], isRead: false }
  found.set(session.volume, one)
  if (!onlyVerifies(cap)) one.isRead = true
  const verify = cap.kind === "ci" ? decodeCap(await verifyCapOf(base)) : cap
  const label = base.kind === "alias" ? `${base.alias}:` : "(capability)"
  one.trees.push(await treeOf(session, verify, label))
}

async function volumeOf(
  context: Context,
  { session, trees, isRead }: Found,
  { isAll, collects, signal }: Pick<MaintainedPlaces, "collects" | "signal"> & { readonly isAll: boolean },
): Promise<MaintainedVolume> {
  const { warn } = context
  const { profile, storage, volume, coding, store } = session
  const account = await profile.account()
  const isListed = [...profile.aliases.keys()].some((alias) => profile.aliasState(alias) === "listed")
  if (isAll && isListed) trees.push(...(await accountsTrees(session, trees, warn)))
  const mayCollect = collects && isAll && isRead && account.keys !== undefined
  const collect = async () => {
    // What it has to store for that is taken where the quota is used up too, as nothing else of a round is.
    const removing = await context.openOwnSession(volume, { forRemoval: true, ...(signal && { signal }) })
    const { places, problems, outOfReach, refused, leftOut } = await collectOn(removing, warn).finally(() =>
      removing.close(),
    )
    const sum = (of: "shares" | "bytes") => [...places.values()].reduce((total, one) => total + one[of], 0)
    const told = [
      ...problems.map(({ label, why }) => `${label} was not looked through: ${why}`),
      ...outOfReach.map(({ place }) => `${place} is out of reach, so nothing was removed`),
      ...[...leftOut].map(([server, why]) => `${session.nameOf(server)} was left out: ${why}`),
      ...[...refused].map(([server, { message }]) => `${session.nameOf(server)}: ${message}`),
    ]
    return { shares: sum("shares"), bytes: sum("bytes"), problems: told }
  }
  return {
    ...{ key: storage, name: volume, account: toHex(account.id), happy: coding.happy, store, trees },
    isTaking: session.isTaking,
    collector: account.keys && collectorOf(account),
    ...(mayCollect && { collect }),
  }
}

async function collectOn(session: Session, warn: (text: string) => void) {
  const report = await collectAccount(session, { graceMs: 0, dryRun: false, keep: [], warn })
  await sweepBuckets(everyPlace(session), warn)
  return report
}

/** What the account needs besides its aliases: its own list, and the trees linked in its trees. */
async function accountsTrees(
  session: Session,
  known: readonly MaintainedTree[],
  warn: (text: string) => void,
): Promise<MaintainedTree[]> {
  const own = await ownRegisters(session, warn)
  const list: MaintainedTree = {
    key: `${session.storage}/account`,
    label: "the account's list",
    more: own.registers,
    async footing() {
      const { chunks } = await ownRegisters(session, warn)
      return { chunks: asStored(chunks), registers: [] }
    },
  }
  const linked: MaintainedTree[] = []
  const keys = new Set(known.map(({ key }) => key))
  const { linked: caps } = await readAccountList(session).catch((error: unknown) => {
    if (!isHoldfastError(error)) throw error
    return { linked: [] } // told above
  })
  for (const text of caps) {
    const cap = decodeCap(text)
    if (cap.kind === "lit" || cap.kind === "ci") continue
    const tree = await treeOf(session, cap, "a linked tree")
    if (!keys.has(tree.key)) linked.push(tree)
    keys.add(tree.key)
  }
  return own.registers.length + own.chunks.length === 0 ? linked : [list, ...linked]
}

async function treeOf({ store, storage }: Session, cap: Cap, label: string): Promise<MaintainedTree> {
  const verify = await verifyOf(cap)
  return { key: keyIn(storage, verify), label, footing: async () => footingOfCap(store, verify) }
}

/** The key of the tree that a capability names on a volume; undefined for one that has to be read for it. */
export async function maintainedKey(storage: string, cap: Cap): Promise<string | undefined> {
  return cap.kind === "ci" || cap.kind === "lit" ? undefined : keyIn(storage, await verifyOf(cap))
}

function keyIn(storage: string, cap: VerifyCap | ImmutableVerifyCap): string {
  const id = cap.kind === "cv" ? hashSmall("holdfast/maintained/1", cap.chunkIds) : registerIdOf(cap.publicKey)
  return `${storage}/${toHex(id)}`
}

async function verifyOf(cap: Cap): Promise<VerifyCap | ImmutableVerifyCap> {
  if (cap.kind === "cv") return cap
  if (cap.kind === "ci" || cap.kind === "lit")
    throw new HoldfastError("ERR_WRONG_CAPABILITY", "This capability names nothing that can be looked after.")
  return toVerifyCap(nodeCrypto, cap)
}

async function* asStored(chunks: readonly ChunkId[]) {
  for (const id of chunks) yield { id }
}
