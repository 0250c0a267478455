/**
 * Which test files are long: they sweep over many histories, answers or crashes, or start many processes or services. `npm test`
 * leaves them out, so that it fits into ten minutes of two cores; `npm test -- --all` runs them, and so does `.ci/run`. A new test
 * is short unless it is named here.
 */
export const longTests: readonly string[] = [
  // Many random histories and schedules.
  ..."caretaker models replay seeds witness".split(" ").map((name) => `packages/simulator/test/${name}.test.ts`),
  ..."collection-races liars register-races".split(" ").map((name) => `packages/store/test/${name}.test.ts`),
  // Every answer, file or tree that can be made wrong.
  "packages/backends/test/bad-bucket.test.ts",
  "packages/backends/test/hostile-directory.test.ts",
  "packages/cli/test/echoed-secrets.test.ts",
  "packages/cli/test/malicious.test.ts",
  "packages/fs/test/swapped.test.ts",
  "packages/node/test/bad-node.test.ts",
  "packages/node/test/greedy.test.ts",
  "packages/node/test/waits-siege.test.ts",
  "packages/tree/test/malicious.test.ts",
  // Shells, and kits behind words that are slow to try on purpose.
  "packages/cli/test/completion-places.test.ts",
  "packages/cli/test/kits.test.ts",
  // Whole grids, real services, full disks, crashes.
  ...[
    ..."accounts altered-disks bucket-accounts clouds confirm crash degraded devices domains faults forks full-disk".split(
      " ",
    ),
    ..."grid-labels grid-witness guide hostile-places hostile-reader leakage local-grid looking-inside".split(" "),
    ..."maintain maintain-beside other-user pins recovery recovery-buckets release s3-contract secrets".split(" "),
    ..."services shared-places verify volume-accounts volume-follow witness".split(" "),
  ].map((name) => `e2e/${name}.test.ts`),
]
