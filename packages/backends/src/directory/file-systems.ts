/**
 * Which file systems are this machine's own. Processes that share an SQLite database in WAL mode share memory besides, which two
 * machines never do: where it is not sure, one process at a time has the directory. See docs/decisions/0017-shared-directories.md.
 */

/** The numbers of statfs(2). Networks, FUSE, and folders that a virtual machine has from its host are not here, whatever is below. */
const local: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x5846_5342, // XFS
  0x9123_683e, // Btrfs
  0xf2f5_2010, // F2FS
  0x2fc1_2fc1, // ZFS
  0xca45_1a4e, // bcachefs
  0x0102_1994, // tmpfs
  0x794c_7630, // overlayfs: its upper layer is never a network's
  0x4d44, // FAT
  0x2011_bab0, // exFAT
  0x7366_746e, // NTFS
  0x5265_4973, // ReiserFS
  0x3153_464a, // JFS
])

/** True for the `type` that statfs gave of a file system on a disk of this machine. Only Linux tells. */
export function isLocalFileSystem(type: number, platform: string = process.platform): boolean {
  return platform === "linux" && local.has(type >>> 0)
}
