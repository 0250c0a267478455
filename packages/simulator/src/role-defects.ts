/** Deliberate defects that those who mean harm must find: what guards against malicious writers, hoarders, intruders and glut. */
import type { Defect } from "./defects.ts"
import type { RoleKind } from "./roles.ts"
import type { Shape } from "./world.ts"

const tree = "packages/tree/src"

const has = (role: RoleKind) => (shape: Shape) => shape.roles.includes(role) && shape.versions === 1

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
    `${tree}/io.ts`,
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
]

function one(name: string, file: string, find: string, replace: string, where?: Defect["where"]): Defect {
  return { name, edits: [{ file, find, replace }], ...(where && { where }) }
}
