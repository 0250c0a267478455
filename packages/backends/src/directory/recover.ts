/**
 * After a start that no orderly close went before: looks through the files for those that no row names. One whose share
 * verifies, is not held and was not about to be removed is taken in again (so even a lost index loses no large share), for the account
 * that nobody is: whose it was is not known. Others with a name of ours are what a crash left, and are removed; what has
 * another name was never ours.
 */
import { HoldfastError, toHex } from "@holdfast/core"
import { legacyAccount, verifyShare } from "@holdfast/protocol"
import { type FileName, parseFileName } from "./files.ts"
import type { EngineParts } from "./parts.ts"

/** What a recovery did. */
export interface RecoveryReport {
  readonly adopted: number
  readonly removed: number
}

/** Brings files and rows together. Runs before the directory is in use. */
export async function recover(parts: EngineParts): Promise<RecoveryReport> {
  const { files, index, committer } = parts
  let adopted = 0
  let removed = 0
  for (const { tenant, file } of index.removing()) {
    await files.remove(tenant, [file])
    await committer.run(() => index.removed(tenant, file))
    removed++
  }
  for (const name of await files.tenants()) {
    await committer.run(() => index.addTenant(name))
    const tenant = index.tenantNamed(name)!
    for await (const batch of files.list(name)) {
      const stray: string[] = []
      for (const file of batch) {
        const parsed = parseFileName(file)
        const row = index.share(tenant.tenant, parsed.id, parsed.index)
        if (row?.file === file) continue
        const found = row ? "useless" : await adopt(parts, tenant, file, parsed)
        if (found === "adopted") adopted++
        else if (found === "useless") stray.push(file)
        else await files.quarantine(name, file) // a part of the disk is bad: the rest must serve all the same
      }
      await files.remove(name, stray)
      removed += stray.length
    }
  }
  return { adopted, removed }
}

async function adopt(
  { files, index, committer, stamps, crypto }: EngineParts,
  { tenant, name }: { tenant: number; name: string },
  file: string,
  expected: FileName,
): Promise<"adopted" | "useless" | "unreadable"> {
  const bytes = await files.read(name, file).catch(() => "unreadable" as const)
  if (bytes === undefined) return "useless"
  if (bytes === "unreadable") return bytes
  try {
    const share = await verifyShare(crypto, bytes)
    if (toHex(share.id) !== toHex(expected.id) || share.index !== expected.index) return "useless"
  } catch (error) {
    if (error instanceof HoldfastError) return "useless"
    throw error
  }
  await files.syncDirectories(name, [file])
  await committer.run(() => {
    const { account } = index.marks.accountFor(tenant, legacyAccount)
    const batch = index.marks.batchFor(tenant, account, new Uint8Array(16))
    index.marks.setStamp(stamps.next(), batch.batch)
    const share = index.addShare(tenant, expected.id, expected.index, bytes.length, file)
    index.marks.addMarks(tenant, share, [account], batch, () => false)
  })
  return "adopted"
}
