/**
 * Sources with security checks, each area with the unit tests that watch over it: quick ones first, as the first that fails decides.
 * A check should have a test that takes seconds, so that those that take minutes are not here.
 */

/** Files of one concern. */
export interface Area {
  readonly files: readonly string[]
  readonly tests: readonly string[]
  /** Settings that weaken what they guard when they are changed so. */
  readonly changes?: readonly { readonly file: string; readonly text: string; readonly replace: string }[]
}

const tests = (folder: string, ...names: string[]) => names.map((name) => `packages/${folder}/test/${name}.test.ts`)
const sources = (folder: string, ...names: string[]) => names.map((name) => `packages/${folder}/${name}.ts`)
const inFile = (name: string, changes: readonly (readonly [text: string, replace: string])[]) =>
  changes.map(([text, replace]) => ({ file: `packages/${name}.ts`, text, replace }))

/** All areas, those whose failure costs most first. */
export const areas: readonly Area[] = [
  {
    files: sources("core/src/crypto", "range", "signature", "small"),
    tests: [...tests("core", "vectors", "signature"), ...tests("store", "ranges")],
  },
  {
    files: sources("store/src", "register-seal", "register-author", "register-guard"),
    tests: [
      ...tests("store", "register-guard", "register-seal", "register-author", "registers", "hostile-history"),
      ...tests("store", "forks", "ancestry"),
    ],
  },
  {
    files: sources("store/src", "register-quorum", "register-confirm", "register-commit"),
    tests: tests("store", "register-quorum", "register-propose", "registers", "marks", "answers"),
  },
  {
    files: sources(
      "protocol/src",
      "register",
      "register-value",
      "register-order",
      "register-epoch",
      "register-ancestry",
    ),
    tests: [
      ...tests("protocol", "register-guards", "ancestry", "decoders", "vectors"),
      ...tests("store", "registers", "hostile-history"),
    ],
  },
  {
    files: sources("store/src", "seal", "chunk-reader", "range-reader"),
    tests: tests("store", "seal", "chunks", "one-content", "ranges", "chunk-2", "answers"),
  },
  {
    files: [
      ...sources("network/src", "tls/agent", "tls/authority", "tls/expected", "tls/revoked", "tls/roles", "tls/server"),
      ...sources("network/src", "tls/subject", "tls/unreachable", "join"),
      ...sources("network/src/transport", "client", "connection", "exchange", "pending", "server", "writer"),
    ],
    changes: [
      ...inFile("network/src/tls/agent", [["maxCachedSessions: 0", "maxCachedSessions: 100"]]),
      ...inFile("network/src/tls/expected", [['minVersion: "TLSv1.3"', 'minVersion: "TLSv1.2"']]),
      ...inFile("network/src/tls/server", [
        ['minVersion: "TLSv1.3"', 'minVersion: "TLSv1.2"'],
        ["constants.SSL_OP_NO_TICKET", "0"],
        ["requestCert: true", "requestCert: false"],
      ]),
    ],
    tests: [
      ...tests(
        "network",
        "transport",
        "authority",
        "roles",
        "agent",
        "join",
        "handshake",
        "daemon",
        "refusal",
        "tls",
        "server-limits",
      ),
      ...tests("coordinator", "roles", "membership", "coordinator"),
    ],
  },
  {
    files: sources("protocol/src", "recovery-kit", "recovery-secrets"),
    tests: [
      ...tests("protocol", "recovery-kit", "recovery-secrets", "decoders", "vectors"),
      ...tests("client", "recovery"),
    ],
  },
  {
    files: sources("client/src/kits", "choose-kit", "erase-kits", "kit", "parts", "threshold"),
    tests: [...tests("client", "choose-kit", "erase-kits", "kits", "recovery"), ...tests("cli", "kits")],
  },
  {
    files: sources("client/src/recovery", "parties", "protect", "restore", "words"),
    tests: [...tests("client", "restore-profile", "relocated", "passphrases", "recovery"), ...tests("cli", "kits")],
  },
  {
    files: [
      ...sources("protocol/src", "account", "account-grant"),
      ...sources("store/src", "collect", "collect-unmark", "collect-adopt"),
    ],
    tests: [...tests("protocol", "account"), ...tests("store", "collection", "marks", "collection-races")],
  },
  {
    files: [
      ...sources("backends/src", "rules", "directory/marking", "directory/proposing", "directory/scrub"),
      ...sources("protocol/src", "newer"),
    ],
    tests: tests(
      "backends",
      "rules",
      "register-order",
      "scrub",
      "newer",
      "marking",
      "administration",
      "limits",
      "fair-disk",
      "fair-turns",
      "memory",
      "directory",
    ),
  },
  {
    files: sources(
      "backends/src/s3",
      "registers",
      "shares",
      "vouch",
      "sweep",
      "fence",
      "collect",
      "accounts",
      "propose",
      "marks",
    ),
    tests: tests(
      "backends",
      "bucket-objects",
      "bucket-writer",
      "bucket-sweep",
      "bucket-collect",
      "bucket-lag",
      "bucket-requests",
      "bucket-contract",
      "bucket-races",
      "bad-bucket",
    ),
  },
  {
    files: [
      ...sources("fs/src/node", "place"),
      ...sources("core/src/node", "folder"),
      ...sources("backends/src/directory", "recover", "files", "node-disk", "schema"),
    ],
    tests: [
      ...tests("core", "folder"),
      ...tests("fs", "place"),
      ...tests("backends", "node-disk", "schema", "newer", "recovery", "hostile-directory", "directory"),
    ],
  },
  {
    files: sources(
      "tree/src",
      "node-place",
      "directory-node",
      "directory-cursor",
      "manifest",
      "io",
      "name",
      "file-reader",
    ),
    tests: tests(
      "tree",
      "nodes",
      "order",
      "formats",
      "directory",
      "files",
      "random-access",
      "small-pieces",
      "patch",
      "hostile-writer",
    ),
  },
  {
    files: sources("tree/src", "page-cache", "random-reader", "patch", "file-draft"),
    tests: tests(
      "tree",
      "page-cache",
      "read-ahead",
      "random-access",
      "file-draft",
      "patch",
      "patch-cost",
      "patched-tree",
    ),
  },
  {
    files: ["packages/backends/src/register-waits.ts", "packages/node/src/waiting.ts"],
    tests: [...tests("backends", "register-waits"), ...tests("node", "waiting"), ...tests("backends", "memory")],
  },
]
