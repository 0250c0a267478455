/** Reading everything back, byte by byte, on a device: the worker's own, the other of the same person, or a restored one. */
import type { Device } from "./device.ts"
import { type Content, differenceOf, filesOf, type SharedTree } from "./folder.ts"
import { verifySnapshot } from "./operations.ts"
import type { Worker } from "./worker.ts"

/** Reads all that workers expect on a device of the same person. They must not work meanwhile. */
export async function verifyWorkers(workers: readonly Worker[], device: Device): Promise<void> {
  await verifyFolders(workers, device)
  for (const worker of workers) {
    for (const snapshot of worker.snapshots) await verifySnapshot(worker, device, snapshot)
    for (const { alias, files } of worker.kept) await verifyPlace(worker, device, `${alias}:`, files)
    for (const { alias, content } of worker.notes) {
      const isEmpty = content.sizeBytes === 0
      await verifyPlace(worker, device, `${alias}:`, new Map(isEmpty ? [] : [["", content]]))
    }
  }
}

/** Reads workers' folders, each tree as a whole, on a device of anybody who can. */
export async function verifyFolders(workers: readonly Worker[], device: Device): Promise<void> {
  const trees = new Set(workers.flatMap(({ folders }) => folders.map(({ tree }) => tree)))
  for (const tree of trees) await verifyTree(workers, device, tree)
}

async function verifyTree(workers: readonly Worker[], device: Device, tree: SharedTree): Promise<void> {
  const alias = tree.names[device.person]!
  const all = await workers[0]!.fetch(device, `${alias}:`)
  for (const worker of workers)
    for (const { path, items } of worker.folders.filter((folder) => folder.tree === tree)) {
      const prefix = `${path.slice(1)}/`
      const inside = [...all].filter(([name]) => name.startsWith(prefix))
      const found = new Map(inside.map(([name, content]) => [name.slice(prefix.length), content]))
      judge(worker, device, `${alias}:${path}`, { expected: filesOf(items), found })
    }
}

type Files = ReadonlyMap<string, Content>

async function verifyPlace(worker: Worker, device: Device, place: string, expected: Files): Promise<void> {
  const found = await worker.fetch(device, place)
  const isEmpty = expected.size === 0 && [...found.values()].every(({ sizeBytes }) => sizeBytes === 0)
  judge(worker, device, place, { expected, found: isEmpty ? new Map() : found })
}

function judge(worker: Worker, device: Device, place: string, { expected, found }: { expected: Files; found: Files }) {
  const difference = differenceOf(expected, found)
  worker.history.add("places read", 1)
  worker.history.add("files compared", expected.size)
  if (difference !== undefined) worker.history.fail(`${device.name}: ${place} of ${worker.name}: ${difference}`)
}

/** Does something while none of the workers works. */
export function whileNobodyWorks<T>([worker, ...rest]: readonly Worker[], work: () => Promise<T>): Promise<T> {
  return worker === undefined ? work() : worker.turn.take(() => whileNobodyWorks(rest, work))
}

/** The health of a person's trees, each share read. */
export async function checkTrees(device: Device, aliases: readonly string[], { repair = false } = {}): Promise<void> {
  for (const alias of aliases) {
    const words = ["check", "--deep", "--verify", ...(repair ? ["--repair"] : []), `${alias}:`]
    await device.must(words, { kind: repair ? "check --repair" : "check" })
  }
}
