/**
 * Deliberate defects, which prove that the simulator has teeth: each is put into a copy of the sources, where some seed must
 * then fail. `npm run simulate:defects` does it; a test of this package sees that each still applies.
 */
import { caretakerDefects } from "./caretaker-defects.ts"
import { byTest, type Defect, type Edit } from "./defect.ts"
import { kitDefects } from "./kit-defects.ts"
import { ownershipDefects } from "./ownership-defects.ts"
import { roleDefects } from "./role-defects.ts"

const store = "packages/store/src"
const tree = "packages/tree/src"
const directory = "packages/backends/src/directory"

/** All defects. */
export const defects: readonly Defect[] = [
  one(
    "a quorum one too small",
    `${store}/register-quorum.ts`,
    "  return servers - faulty\n",
    "  return servers - faulty - 1\n",
  ),
  one(
    "a read that does not write back",
    `${store}/register-store.ts`,
    "      if (!(await survey.settle())) continue\n",
    "",
  ),
  one(
    "a register takes lower sequences",
    "packages/protocol/src/register-order.ts",
    "  if (order < 0)\n    return next.epoch",
    "  if (order > 0)\n    return next.epoch",
  ),
  one(
    "a register value's signature is not verified",
    "packages/protocol/src/register.ts",
    "if (!(await crypto.verify(statement?.writer ?? value.publicKey, signed, value.signature)))",
    "if (!(await crypto.verify(statement?.writer ?? value.publicKey, signed, value.signature)) && value.version < 0)",
  ),
  one(
    "a bucket's registers are written over",
    "packages/backends/src/s3/registers.ts",
    "{ ifAbsent: conditional, signal }",
    "{ ifAbsent: false, signal }",
  ),
  one("files are not synchronised", `${directory}/files.ts`, "    await file.datasync()\n", ""),
  one(
    "folders are not synchronised",
    `${directory}/files.ts`,
    "    await Promise.all([...paths].map((path) => this.#syncFolder(path)))\n",
    "    await Promise.all([...paths].map(async () => undefined))\n",
  ),
  one(
    "a new storage directory is not synchronised",
    `${directory}/engine.ts`,
    "await makeDurableDirectory(disk, dir)",
    "await disk.mkdir(dir)",
  ),
  one(
    "commits do not wait for the disk",
    `${directory}/database.ts`,
    "PRAGMA synchronous = FULL",
    "PRAGMA synchronous = NORMAL",
  ),
  one(
    "garbage collection forgets the history",
    `${tree}/reach.ts`,
    "...history.map(({ sequence, root: directory })",
    "...history.slice(0, 0).map(({ sequence, root: directory })",
  ),
  one("snapshots are not kept", `${tree}/reach.ts`, "{ directory: snapshots,", "{ directory: null,"),
  {
    name: "happy counts shares, not servers",
    edits: [
      edit(
        `${store}/chunk-writer.ts`,
        "const distinct = () => new Set(held.values()).size",
        "const distinct = () => held.size",
      ),
      edit(
        `${store}/chunk-writer.ts`,
        "        held.set(index, server.backend.id)\n        batch",
        "        held.set(index, server.backend.id)\n        free.add(server)\n        batch",
      ),
    ],
    ...byTest("packages/store/test/chunks.test.ts", "do not bring others a second share"),
  },
  {
    name: "shares are not verified when read",
    edits: [
      edit(
        `${store}/pipeline.ts`,
        "encoded.map((bytes) => checkPayload(deps.crypto, id, bytes))",
        "encoded.map(decodeShare)",
      ),
    ],
  },
  one(
    "a check believes rotten shares",
    `${store}/chunk-health.ts`,
    "if (share?.isGood && decodeShare(share.bytes).index === index) {",
    "if (share && decodeShare(share.bytes).index === index) {",
  ),
  one(
    "repair leaves shares that lie together",
    `${store}/chunk-health.ts`,
    "(index) => !own.includes(index))",
    "(index) => !holdings.some(({ indices }) => indices.includes(index)))",
    byTest("packages/store/test/chunks.test.ts", "repair gives every share a server of its own"),
  ),
  {
    name: "a merge starts from values that nobody followed",
    edits: [
      edit(
        `${tree}/tree.ts`,
        "    const { base, changed } = made\n",
        "    let { base } = made\n    const { changed } = made\n",
      ),
      edit(
        `${tree}/tree.ts`,
        "      mine = await mergeStates(\n        this.io,\n        { base, mine: own, theirs: await mergeSiblings(this.io, current, conflicts) },\n        conflicts,\n      )\n",
        "      const theirs = await mergeSiblings(this.io, current, conflicts)\n" +
          "      mine = await mergeStates(this.io, { base, mine, theirs }, conflicts)\n" +
          "      base = theirs\n",
      ),
    ],
  },
  one(
    "of values that raced one is read",
    `${tree}/tree.ts`,
    "    if (current.siblings.length === 0) return current.content\n",
    "    if (current.siblings.length >= 0) return current.content\n",
    byTest("packages/tree/test/tree.test.ts", "values of one sequence are read as one"),
  ),
  one(
    "a retry that never ends",
    "packages/backends/src/storage-node/send.ts",
    '    if ((code !== "ECONNRESET" && code !== "EPIPE") || call.signal?.aborted) throw error\n    return options.request(call)\n',
    "    if (code === undefined || call.signal?.aborted) throw error\n    return requestTwice(options, call)\n",
  ),
  ...ownershipDefects,
  ...roleDefects,
  ...kitDefects,
  ...caretakerDefects,
]

function one(name: string, file: string, find: string, replace: string, more: Pick<Defect, "proof"> = {}): Defect {
  return { name, edits: [edit(file, find, replace)], ...more }
}

function edit(file: string, find: string, replace: string): Edit {
  return { file, find, replace }
}

/** `text` with the edit made. Throws when what it looks for is not there exactly once. */
export function applyEdit(text: string, { file, find, replace }: Edit): string {
  const [before, after, ...more] = text.split(find)
  if (before === undefined || after === undefined || more.length > 0)
    throw new Error(`${file} has ${text.split(find).length - 1} times the text of a defect: ${find.trim()}`)
  return before + replace + after
}
