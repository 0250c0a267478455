/** Every bound on what Holdfast accepts or makes, in one place. docs/limits.md explains them. */
export const limits = {
  /** Most plaintext bytes in one chunk; also the default file chunk size. */
  chunkBytes: 4 * 1024 * 1024,
  /** Most bytes of one stored share, header included: a whole chunk when k = 1. */
  shareBytes: 4 * 1024 * 1024 + 16 + 16 * 1024,
  /** Most shares of a chunk. */
  maxShares: 255,
  /** Most bytes of an encoded chunk descriptor. */
  descriptorBytes: 16 * 1024,
  /** Most bytes of a register's encrypted content. */
  registerContentBytes: 64 * 1024,
  /** Most bytes of a register's encrypted list of the chunks its content needs. */
  registerCareBytes: 18 * 1024,
  /** Most bytes of an encoded register value. */
  registerValueBytes: 96 * 1024,
  /** Most accounts besides its writer's that a tree is held for. */
  careAccounts: 64,
  /** Most hashes of earlier values that a register value names. */
  lineageHashes: 20,
  /** Most memory, passes and lanes of argon2id that a file may ask for. */
  passphraseMemoryKiB: 256 * 1024,
  passphrasePasses: 16,
  passphraseLanes: 4,
  /** Most bytes of one request or answer of the storage protocol. */
  requestBytes: 16 * 1024 * 1024,
  /** Most items (shares, ids, registers) in one request. */
  requestItems: 4096,
  /** Most content kept inside a directory entry. */
  inlineBytes: 4096,
  /** Most bytes of a name in a directory. */
  nameBytes: 255,
  /** Most bytes of an encoded tree node. */
  treeNodeBytes: 1024 * 1024,
  /** Deepest path. */
  pathDepth: 256,
} as const
