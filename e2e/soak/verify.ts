/** Reading everything back, byte by byte, on a device: the worker's own, the other of the same person, or a restored one. */
import type { Device } from "./device.ts"
import { differenceOf, filesOf } from "./folder.ts"
import { verifySnapshot } from "./operations.ts"
import type { Worker } from "./worker.ts"

/** Reads all that a worker expects on a device of the same person. The worker must not work meanwhile. */
export async function verifyWorker(worker: Worker, device: Device): Promise<void> {
  await verifyFolders(worker, device)
  for (const snapshot of worker.snapshots) await verifySnapshot(worker, device, snapshot)
  for (const { alias, files } of worker.kept) await verifyPlace(worker, device, `${alias}:`, files)
  for (const { alias, content } of worker.notes) {
    const isEmpty = content.sizeBytes === 0
    await verifyPlace(worker, device, `${alias}:`, new Map(isEmpty ? [] : [["", content]]))
  }
}

/** Reads a worker's folders on a device of anybody who can. */
export async function verifyFolders(worker: Worker, device: Device): Promise<void> {
  for (const { tree, path, items } of worker.folders)
    await verifyPlace(worker, device, `${tree.names[device.person]}:${path}`, filesOf(items))
}

async function verifyPlace(
  worker: Worker,
  device: Device,
  place: string,
  expected: Parameters<typeof differenceOf>[0],
) {
  const found = await worker.fetch(device, place)
  const isEmpty = expected.size === 0 && [...found.values()].every(({ sizeBytes }) => sizeBytes === 0)
  const difference = isEmpty ? undefined : differenceOf(expected, found)
  worker.history.add("places read", 1)
  if (difference !== undefined) worker.history.fail(`${device.name}: ${place} of ${worker.name}: ${difference}`)
}

/** The health of a person's trees, each share read. */
export async function checkTrees(device: Device, aliases: readonly string[], { repair = false } = {}): Promise<void> {
  for (const alias of aliases) {
    const more = repair ? ["--repair"] : []
    await device.must(["check", "--deep", "--verify", ...more, `${alias}:`], {
      kind: repair ? "check --repair" : "check",
    })
  }
}
