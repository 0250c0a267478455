/** Deliberate defects that those who mean harm must find: what guards against malicious writers, hoarders, intruders and glut. */
import type { Defect } from "./defect.ts"
import { harmfulRoles, type RoleKind } from "./roles.ts"
import type { Shape } from "./world.ts"

const tree = "packages/tree/src"
const directory = "packages/backends/src/directory"

const has = (role: RoleKind) => (shape: Shape) => shape.roles.includes(role) && shape.versions === 1

const hoardsAtNodes = (shape: Shape) => has("hoarder")(shape) && shape.places.every((place) => place === "node")
const intrudes = (shape: Shape) =>
  has("intruder")(shape) && shape.mode === "byzantine" && shape.places.every((place) => place === "node")

/** Weaker guards. */
export const roleDefects: readonly Defect[] = [
  one(
    "a walk goes on however often it comes to the same directories",
    `${tree}/repeat-guard.ts`,
    "      if (isEndless || this.#repeated > Math.max",
    "      if (isEndless && this.#repeated > 1e9 * Math.max",
    has("writer"),
  ),
  one(
    "a chunk that was read is found by its id alone",
    `${tree}/reference.ts`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a text of the source
    "  return `${toHex(id)}${toHex(key)}`\n",
    "  return toHex(id) + (key.length > 32)\n",
    has("writer"),
  ),
  one(
    "names of a directory need no order",
    `${tree}/directory-node.ts`,
    "    if (compareNames(decoded[i - 1]!.name, decoded[i]!.name) >= 0) throw badNode",
    "    if (compareNames(decoded[i - 1]!.name, decoded[i]!.name) > 1) throw badNode",
    has("writer"),
  ),
  one(
    "leaves of a directory may overlap",
    `${tree}/io.ts`,
    "    if (place) checkPlace(node, place)\n    return node\n",
    "    if (place && !node) checkPlace(node, place)\n    return node\n",
    has("writer"),
  ),
  one(
    "an account's quota is not looked at",
    `${directory}/parts.ts`,
    "  if (moreBytes > 0 && chargedBytes + moreBytes > mostUnder(accountQuotaBytes, wanted))\n",
    "  if (moreBytes > 0 && chargedBytes + moreBytes > 100 * mostUnder(accountQuotaBytes, wanted))\n",
    hoardsAtNodes,
  ),
  one(
    "what a dropped account shares with others goes with it",
    `${directory}/administration.ts`,
    "    if (index.marks.dropMarks(tenant, share, index.marks.marksFor(share.row, account))) continue\n",
    "    index.marks.dropMarks(tenant, share, index.marks.marksFor(share.row, account))\n",
    hoardsAtNodes,
  ),
  one(
    "registers of a dropped account stay",
    `${directory}/administration.ts`,
    "ofAccount(account, new Uint8Array(), marksAtOnce)",
    "ofAccount(account, new Uint8Array(), 0 * marksAtOnce)",
    hoardsAtNodes,
  ),
  one(
    "an answer may be larger than its question",
    "packages/backends/src/storage-node/client.ts",
    "callOptions, batch.length * (limits.maxShares + 3)),",
    "callOptions, mostAnswerBytes),",
    (shape) =>
      has("glut")(shape) && shape.mode === "byzantine" && shape.faults.includes("lies") && shape.faulty.length > 0,
  ),
  one(
    "an index leads to files that are none of a place's",
    `${directory}/files.ts`,
    '  return typeof name === "string" && filePattern.test(name)\n',
    '  return typeof name === "string" && name !== ""\n',
    intrudes,
  ),
]

function one(name: string, file: string, find: string, replace: string, where?: Defect["where"]): Defect {
  return { name, edits: [{ file, find, replace }], roles: harmfulRoles, ...(where && { where }) }
}
