/** `check`, `rebalance`: looking after what is stored. */
import { collectorOf, ownRegisters } from "@holdfast/client/account"
import type { Session } from "@holdfast/client/volumes"
import { HoldfastError, isHoldfastError, ownValue, toHex } from "@holdfast/core"
import { type Cap, type ChunkId, type ImmutableVerifyCap, registerIdOf, type VerifyCap } from "@holdfast/protocol"
import type { Rebalanced } from "@holdfast/store"
import { careIds, readCare } from "@holdfast/tree"
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { exitCodes } from "../../exit-codes.ts"
import { parseRemote } from "../../transfer/path-spec.ts"
import { examples, plural } from "../../words.ts"
import { audit } from "./audit.ts"
import {
  addHealth,
  addUnreadable,
  checkChunks,
  checkRegister,
  emptyReport,
  type HealthReport,
  type RegisterCopy,
} from "./health.ts"
import { type CapFinder, type VolumeFlags, withVolumes } from "./open.ts"
import { find, show, type VolumeOpener } from "./places.ts"
import type { LostPlace, StoredChunk } from "./volume.ts"

const capFile = ["--cap-file <file>", "file with a capability, used as cap:/path (- is stdin)"] as const

/** Adds the commands to the program. */
export function register(program: Command, context: Context): void {
  program
    .command("check")
    .description("tell the health of what is stored, and mend it")
    .argument("[path]", "a place in a tree, or a verify capability", "home:")
    .option("--deep", "all that is below, not only the place itself")
    .option("--verify", "read and verify every share instead of believing the servers")
    .option(
      "--sample <count>",
      "ask for so many blocks by chance, with their proofs, instead of everything",
      parseCount,
    )
    .option("--repair", "put missing and damaged shares right")
    .option(...capFile)
    .addHelpText(
      "after",
      examples(
        ["holdfast check --deep home:", "exit code 5 when something is damaged or lost"],
        ["holdfast check --sample 459 @file:verify.cap", "30 MB find a loss of 1 % with a certainty of 99 %"],
        ["holdfast check --deep --repair home:", "after a server was lost or replaced"],
        [
          "holdfast check --repair @file:verify.cap",
          "with a verify capability: all of its tree, though nothing can be read with it",
        ],
      ),
    )
    .action(async (path: string, flags: CheckFlags) => check(context, path, flags))
  program
    .command("rebalance")
    .description("move shares to where they belong after servers came or went")
    .argument("[paths...]", "places in a tree", ["home:"])
    .option(...capFile)
    .addHelpText("after", examples(["holdfast rebalance home:"]))
    .action(async (paths: string[], flags: VolumeFlags) => rebalance(context, paths, flags))
}

interface CheckFlags extends VolumeFlags {
  readonly deep?: boolean
  readonly verify?: boolean
  readonly repair?: boolean
  readonly sample?: number
}

const mostSamples = 1_000_000

function parseCount(text: string): number {
  const count = Number(text)
  if (Number.isInteger(count) && count >= 1 && count <= mostSamples) return count
  throw new HoldfastError("ERR_INVALID_ARGUMENT", `--sample takes a number from 1 to ${mostSamples}, not "${text}".`)
}

async function check(context: Context, text: string, flags: CheckFlags): Promise<void> {
  await withVolumes(context, flags, async (open, sessionOf, capOf) => {
    if (flags.sample !== undefined && (flags.verify || flags.repair))
      throw new HoldfastError(
        "ERR_INVALID_ARGUMENT",
        "--sample goes neither with --verify nor with --repair: these read everything.",
      )
    const session = await sessionOf(parseRemote(text).base)
    const report = emptyReport()
    const onLost = flags.sample === undefined ? { onLost: (lost: LostPlace) => addUnreadable(report, lost) } : {}
    const options = { deep: flags.deep ?? false, ...onLost }
    const { chunks, registers, place } = await standsOn(session, open, await capAt(capOf, text), text, options)
    if (flags.sample !== undefined) return audit(context, session, idsOnly(chunks), flags.sample)
    const own = await accountsOwn(context, session, text)
    await checkAll(context, session, joined(chunks, own.chunks), report, flags)
    const copies: RegisterCopy[] = []
    const { crypto } = session.env
    for (const publicKey of registers)
      copies.push(...(await checkRegister(session.voters, crypto, registerIdOf(publicKey), flags)))
    for (const { register, what } of own.registers)
      copies.push(...(await checkRegister(session.voters, crypto, register, { ...flags, what })))
    conclude(context, flags, report, copies, place)
  })
}

/** What the account needs besides its trees: looked after with each tree that it keeps. */
async function accountsOwn(context: Context, session: Session, text: string) {
  const { base, path } = parseRemote(text)
  const isRoot = base.kind === "alias" && path.length === 0 && session.profile.aliasState(base.alias) === "listed"
  const { warn } = context
  return isRoot ? ownRegisters(session, warn) : { registers: [], chunks: [] }
}

async function* joined(
  chunks: AsyncIterable<StoredChunk>,
  more: readonly ChunkId[],
): AsyncGenerator<StoredChunk, void, void> {
  yield* chunks
  for (const id of more) yield { id }
}

/** What a place stands on. */
interface Footing {
  readonly chunks: AsyncIterable<StoredChunk>
  /** Public keys of registers; complete when all chunks were given. */
  readonly registers: readonly Uint8Array[]
  readonly place?: string
}

/** What `text` stands on; of a verify capability all that it lists, whether `deep` or not. */
async function standsOn(
  session: Session,
  open: VolumeOpener,
  cap: Cap | undefined,
  text: string,
  options: { readonly deep: boolean; readonly onLost?: (lost: LostPlace) => void },
): Promise<Footing> {
  if (cap?.kind === "cv") return { chunks: unnamed(idsOf(cap)), registers: [] }
  if (cap?.kind === "dv" || cap?.kind === "fv")
    return { chunks: unnamed(listedIds(session, cap)), registers: [cap.publicKey] }
  const found = await find(open, text)
  const registers: Uint8Array[] = []
  const onRegister = (publicKey: Uint8Array) => void registers.push(publicKey)
  return { chunks: found.volume.chunksOf(found.item, { ...options, onRegister }), registers, place: show(found) }
}

async function* idsOnly(chunks: AsyncIterable<StoredChunk>): AsyncGenerator<ChunkId, void, void> {
  for await (const { id } of chunks) yield id
}

async function* unnamed(ids: AsyncIterable<ChunkId>): AsyncGenerator<StoredChunk, void, void> {
  for await (const id of ids) yield { id }
}

/** The capability that is itself the place. */
async function capAt(capOf: CapFinder, text: string): Promise<Cap | undefined> {
  const { base, path } = parseRemote(text)
  return path.length === 0 ? capOf(base) : undefined
}

/** What the register of a verify capability lists: all that its tree needs. A part that is lost shows by its own id. */
async function* listedIds(session: Session, cap: VerifyCap): AsyncGenerator<ChunkId, void, void> {
  for (const list of await readCare(session.store.registers, cap))
    yield* careIds(session.store.chunks, list, () => undefined)
}

async function checkAll(
  context: Context,
  session: Session,
  chunks: AsyncIterable<StoredChunk>,
  report: HealthReport,
  { verify = false, repair = false }: CheckFlags,
): Promise<void> {
  const progress = context.progress(repair ? "repair" : "check", undefined, "chunks")
  try {
    await checkChunks(
      chunks,
      (id) => session.store.checkChunk(id, { verify, repair }),
      (health, { place }) => {
        addHealth(report, health, { servers: session.backends.length, repaired: repair, place })
        progress.add(1)
      },
    )
  } finally {
    progress.close()
  }
}

const inconsistentText =
  "Parity of these does not follow from their data, so they would read differently from different servers. Whoever wrote them made " +
  "them so, and no repair mends it: go back to an older version, or have it written again."

function conclude(
  context: Context,
  flags: CheckFlags,
  report: HealthReport,
  copies: readonly RegisterCopy[],
  place?: string,
): void {
  const lines: string[] = []
  if (report.chunks > 0) {
    lines.push(
      `${place ? `${place}: ` : ""}${plural(report.chunks, "chunk")}: ${report.healthy} healthy, ${report.damaged} damaged, ${report.lost} lost${report.inconsistent > 0 ? `, ${report.inconsistent} inconsistent` : ""}.`,
      `The weakest is on ${plural(report.leastServers, "distinct server")} with ${plural(report.leastSpare, "spare share")}.`,
    )
    if (report.placed > 0) lines.push(`${plural(report.placed, "share")} put right.`)
    for (const where of report.corrupt) lines.push(`damaged: share ${where}`)
    for (const id of report.lostChunks) lines.push(`lost: chunk ${id}${placeOf(report, id)}`)
    for (const id of report.inconsistentChunks) lines.push(`inconsistent: chunk ${id}${placeOf(report, id)}`)
    if (report.inconsistent > 0) lines.push(inconsistentText)
    for (const why of Object.values(report.silent)) lines.push(`no answer: ${why}`)
  } else if (copies.length === 0) lines.push(`${place ?? "It"} stands on no chunk of its own: nothing to check.`)
  for (const { place: where, what, message } of report.unreadable)
    lines.push(
      `cannot be read: ${what === "directory" ? "directory" : "list of the pieces of file"} ${where}: ${message}`,
    )
  if (report.unreadable.length > 0)
    lines.push(
      'What is below it was checked by the tree\'s own list. To go back: "holdfast snapshot list", "holdfast history restore".',
    )
  for (const { register, server, problem, what } of copies)
    if (problem) lines.push(`${server}: ${problem} (${what ?? "the root"}, register ${register})`)
  const roots = copies.filter(({ what }) => what === undefined)
  const others = copies.filter(({ what }) => what !== undefined)
  const good = copies.filter(({ problem }) => problem === undefined).length
  if (roots.length > 0) lines.push(`${goodOf(roots)} of the root are good.`)
  if (others.length > 0) lines.push(`${goodOf(others)} of the account's own list, and of what belongs to it, are good.`)
  if (report.damaged + copies.length - good > 0 && !flags.repair)
    lines.push(`"holdfast check --repair" with the same words puts it right.`)
  const bad =
    report.damaged + report.lost + report.inconsistent + report.unreadable.length > 0 ||
    copies.some(({ problem }) => problem !== undefined)
  const finite = (value: number) => (Number.isFinite(value) ? value : null)
  context.output(
    {
      ...report,
      leastServers: finite(report.leastServers),
      leastSpare: finite(report.leastSpare),
      registers: roots,
      account: others,
      ok: !bad,
    },
    lines,
  )
  if (bad) process.exitCode = exitCodes.damaged
}

function goodOf(copies: readonly RegisterCopy[]): string {
  const good = copies.filter(({ problem }) => problem === undefined).length
  return `${good} of ${plural(copies.length, "copy", "copies")}`
}

function placeOf({ places }: HealthReport, id: string): string {
  const place = ownValue(places, id)
  return place === undefined ? "" : `, of ${place}`
}

async function rebalance(context: Context, paths: readonly string[], flags: VolumeFlags): Promise<void> {
  await withVolumes(context, flags, async (open, sessionOf, capOf) => {
    let moved = 0
    const inconsistent: string[] = []
    const unreadable: LostPlace[] = []
    let released = 0
    const progress = context.progress("rebalance", undefined, "chunks")
    try {
      for (const path of paths) {
        const session = await sessionOf(parseRemote(path).base)
        const options = { deep: true, onLost: (lost: LostPlace) => void unreadable.push(lost) }
        const { chunks } = await standsOn(session, open, await capAt(capOf, path), path, options)
        const account = await session.profile.account()
        const collection = account.keys && (await session.store.beginCollection())
        const surplus = new Map<string, ChunkId[]>()
        const seen = new Set<string>()
        for await (const { id } of chunks) {
          if (seen.has(toHex(id))) continue
          seen.add(toHex(id))
          const done = await session.store.rebalanceChunk(id).catch((error): Rebalanced => {
            if (!isHoldfastError(error, "ERR_INCONSISTENT")) throw error
            inconsistent.push(toHex(id))
            return { moved: 0, surplus: [] }
          })
          moved += done.moved
          for (const { id: place } of done.surplus) surplus.set(place, [...(surplus.get(place) ?? []), id])
          progress.add(1)
        }
        // Others hold there what they need; a device that may only append leaves it to the next that may collect.
        if (collection) released += await collection.release(collectorOf(account), surplus)
      }
    } finally {
      progress.close()
    }
    const lines = [`${plural(moved, "share")} moved, ${released} freed where they lay before.`]
    for (const id of inconsistent) lines.push(`inconsistent: chunk ${id}`)
    if (inconsistent.length > 0) lines.push(inconsistentText)
    for (const { place, message } of unreadable) lines.push(`cannot be read: ${place}: ${message}`)
    context.output(
      { moved, released, inconsistent, unreadable: unreadable.map(({ place, message }) => ({ place, message })) },
      lines,
    )
    if (inconsistent.length + unreadable.length > 0) process.exitCode = exitCodes.damaged
  })
}

/** What an immutable verify capability names. */
export async function* idsOf({ chunkIds }: ImmutableVerifyCap): AsyncGenerator<ChunkId, void, void> {
  for (let at = 0; at < chunkIds.length; at += 32) yield chunkIds.slice(at, at + 32)
}
