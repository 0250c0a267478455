/** Sources with security checks, each area with the unit tests that watch over it: quick ones first, as the first that fails decides. */

/** Files of one concern. */
export interface Area {
  readonly files: readonly string[]
  readonly tests: readonly string[]
}

const tests = (folder: string, ...names: string[]) => names.map((name) => `packages/${folder}/test/${name}.test.ts`)
const sources = (folder: string, ...names: string[]) => names.map((name) => `packages/${folder}/${name}.ts`)

/** All areas. */
export const areas: readonly Area[] = [
  {
    files: sources("core/src/crypto", "range", "signature", "small"),
    tests: [...tests("core", "signature", "vectors"), ...tests("store", "ranges", "chunk-2")],
  },
  {
    files: sources("store/src", "seal", "chunk-reader", "range-reader"),
    tests: tests("store", "one-content", "chunk-2", "ranges", "chunks", "liars"),
  },
  {
    files: [
      ...sources("protocol/src", "register", "register-order", "register-epoch", "register-ancestry"),
      ...sources(
        "store/src",
        "register-seal",
        "register-author",
        "register-guard",
        "register-quorum",
        "register-commit",
      ),
    ],
    tests: [
      ...tests("protocol", "register-guards", "vectors", "ancestry", "decoders"),
      ...tests("store", "registers", "hostile-history", "ancestry", "forks", "marks", "register-races", "liars"),
    ],
  },
  {
    files: sources(
      "network/src",
      "tls/authority",
      "tls/revoked",
      "tls/roles",
      "tls/server",
      "tls/subject",
      "tls/x509",
      "join",
    ),
    tests: [
      ...tests("network", "tls", "roles", "refusal", "http-service", "server-limits"),
      ...tests("coordinator", "membership", "roles", "coordinator"),
    ],
  },
  {
    files: [
      ...sources("protocol/src", "recovery-kit", "recovery-secrets"),
      ...sources("cli/src/recovery", "kit", "choose-kit", "parties", "protect", "registers", "words"),
    ],
    tests: [...tests("cli", "recovery", "kits"), ...tests("protocol", "vectors", "decoders")],
  },
  {
    files: [
      ...sources("protocol/src", "account", "account-grant"),
      ...sources("backends/src", "rules", "directory/marking", "directory/proposing", "directory/scrub"),
      ...sources("store/src", "collect", "collect-unmark", "collect-adopt"),
    ],
    tests: [
      ...tests("backends", "memory", "register-order", "directory", "administration"),
      ...tests("protocol", "account"),
      ...tests("store", "marks", "collection-races"),
    ],
  },
  {
    files: sources("backends/src/s3", "registers", "shares", "vouch", "sweep", "fence"),
    tests: tests("backends", "bucket-contract", "bucket-requests", "bad-bucket", "bucket-races"),
  },
  {
    files: [
      ...sources("cli/src/transfer", "place"),
      ...sources("core/src/node", "folder"),
      ...sources("backends/src/directory", "recover", "files", "node-disk", "schema"),
    ],
    tests: [...tests("cli", "place"), ...tests("backends", "hostile-directory", "directory")],
  },
]
