/**
 * After a start that no orderly close went before: looks through the files for those that no row names. One whose share
 * verifies, is not held and was not about to be removed is taken in again (so even a lost index loses no large share), for the account
 * that nobody is: whose it was is not known. Others with a name of ours are what a crash left, and are removed; what has
 * another name was never ours. What cannot be read, listed or removed now, or is of a later version, stays where it is, and is looked at
 * again by the next start.
 */
import { HoldfastError, toHex } from "@holdfast/core"
import { isNewerShare, legacyAccount, verifyShare } from "@holdfast/protocol"
import { isDiskFull } from "./database.ts"
import { type FileName, parseFileName } from "./files.ts"
import type { EngineParts } from "./parts.ts"

/** What a recovery did. */
export interface RecoveryReport {
  readonly adopted: number
  readonly removed: number
  /** What nothing could be said of: the directory does not count as looked through. */
  readonly left: number
}

/** Brings files and rows together. Runs before the directory is in use. */
export async function recover(parts: EngineParts): Promise<RecoveryReport> {
  const { files, index, committer } = parts
  const going = new Set<string>()
  const done = { adopted: 0, removed: 0, left: 0 }
  for (const { tenant, file } of index.removing()) {
    const isGone = await files.remove(tenant, [file]).then(() => true, unlessPassing)
    if (isGone) await committer.run(() => index.removed(tenant, file))
    else going.add(`${tenant}/${file}`)
    done[isGone ? "removed" : "left"]++
  }
  const notListed = () => void done.left++
  for (const name of await files.tenants()) {
    await committer.run(() => index.addTenant(name))
    for await (const batch of files.list(name, notListed)) {
      const stray: string[] = []
      for (const file of batch) {
        if (going.has(`${name}/${file}`)) continue
        const found = await lookAt(parts, name, file)
        if (found === "adopted") done.adopted++
        else if (found === "useless") stray.push(file)
        else if (found === "unreadable") done.left++
        else if (found === "foreign") await files.quarantine(name, file).catch(notListed)
      }
      const isGone = await files.remove(name, stray).then(() => true, unlessPassing)
      done[isGone ? "removed" : "left"] += stray.length
    }
  }
  return done
}

/** Undefined for what a disk fails with, which keeps nobody from being served. Throws all others. */
function unlessPassing(error: unknown): undefined {
  if (error instanceof HoldfastError || typeof (error as { code?: unknown }).code !== "string" || isDiskFull(error))
    throw error
}

/** "foreign" is what is no share, and too large to be part of one. */
type Found = "known" | "adopted" | "useless" | "unreadable" | "foreign"

async function lookAt(parts: EngineParts, name: string, file: string): Promise<Found> {
  const { tenant } = parts.index.tenantNamed(name)!
  const parsed = parseFileName(file)
  const row = parts.index.share(tenant, parsed.id, parsed.index)
  if (row) return row.file === file ? "known" : "useless"
  return adopt(parts, { tenant, name }, file, parsed)
}

async function adopt(
  { files, index, committer, stamps, crypto }: EngineParts,
  { tenant, name }: { tenant: number; name: string },
  file: string,
  expected: FileName,
): Promise<Found> {
  let bytes: Uint8Array | undefined
  try {
    bytes = await files.read(name, file)
  } catch (error) {
    const isWhole = (error as { code?: unknown }).code === "EFBIG"
    return isWhole && !(await files.isNewer(name, file)) ? "foreign" : "unreadable"
  }
  if (bytes === undefined) return "useless"
  try {
    const share = await verifyShare(crypto, bytes)
    if (toHex(share.id) !== toHex(expected.id) || share.index !== expected.index) return "useless"
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    return (await isNewerShare(crypto, bytes)) ? "unreadable" : "useless"
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
