/**
 * POSIX ACLs as Linux keeps them in an extended attribute: a version, then entries of tag, permissions and id, little-endian
 * (linux/posix_acl_xattr.h). What they say of owner, group and others stands in the mode too, which others may have changed since.
 */

/** The attribute with the ACL of a file or folder itself. */
export const accessAcl = "system.posix_acl_access"

const version = 2
const headBytes = 4
const entryBytes = 8
/** Tags of what the mode says too; its bits for the group are the mask, where there is one. */
const tags = { owner: 0x01, group: 0x04, mask: 0x10, others: 0x20 }

interface AclEntry {
  readonly tag: number
  /** Of read, write and run, as in a mode. */
  readonly permissions: number
  /** Where the permissions stand. */
  readonly at: number
}

/** None of what is no ACL, which the system refuses to set. */
function entriesOf(acl: Uint8Array): readonly AclEntry[] {
  const view = new DataView(acl.buffer, acl.byteOffset, acl.length)
  if (acl.length < headBytes || (acl.length - headBytes) % entryBytes !== 0 || view.getUint32(0, true) !== version)
    return []
  return Array.from({ length: (acl.length - headBytes) / entryBytes }, (_, i) => {
    const at = headBytes + i * entryBytes
    return { tag: view.getUint16(at, true), permissions: view.getUint16(at + 2, true), at: at + 2 }
  })
}

/** The ACL with what `mode` says of owner, group and others. */
export function aclWithMode(acl: Uint8Array, mode: number): Uint8Array {
  const fitting = acl.slice()
  const view = new DataView(fitting.buffer)
  const entries = entriesOf(acl)
  const ofGroup = entries.some(({ tag }) => tag === tags.mask) ? tags.mask : tags.group
  for (const { tag, at } of entries) {
    if (tag === tags.owner) view.setUint16(at, (mode >> 6) & 7, true)
    if (tag === ofGroup) view.setUint16(at, (mode >> 3) & 7, true)
    if (tag === tags.others) view.setUint16(at, mode & 7, true)
  }
  return fitting
}

/** The mode of a file that does not get its ACL: its group may do no more than it could with it. */
export function modeWithoutAcl(mode: number, acl: Uint8Array | undefined): number {
  const group = acl && entriesOf(acl).find(({ tag }) => tag === tags.group)
  return group ? mode & (~0o070 | ((group.permissions & 7) << 3)) : mode
}
