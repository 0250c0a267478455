/** Deliberate defects of maintenance, which who looks after the trees of all must show. */
import type { Defect } from "./defect.ts"
import type { Shape } from "./world.ts"

const maintenance = "packages/fs/src/care/maintenance"

/** Worlds where a chunk may lack a share that nobody needs at once. */
const hasSpare = ({ coding: { happy, n }, versions }: Shape) => happy < n && versions === 1

/** Worlds where shares rot on disks. */
const rots = ({ faults, faulty, versions }: Shape) => faults.includes("rot") && faulty.length > 0 && versions === 1

/** Weaker rules. */
export const caretakerDefects: readonly Defect[] = [
  one(
    "maintenance leaves the last share that a chunk lacks",
    `${maintenance}/mending.ts`,
    "  return distinctServers < happy || lacking > awaited\n",
    "  return distinctServers < happy || lacking > awaited + 1\n",
    hasSpare,
  ),
  one(
    "a full check by maintenance believes what servers say",
    `${maintenance}/tree-round.ts`,
    '    return this.#pass("verify", before, (step) => this.#check(step, { verify: true }))\n',
    '    return this.#pass("verify", before, (step) => this.#check(step, { verify: false }))\n',
    rots,
  ),
]

function one(name: string, file: string, find: string, replace: string, where?: Defect["where"]): Defect {
  return { name, edits: [{ file, find, replace }], caretaker: true, ...(where && { where }) }
}
