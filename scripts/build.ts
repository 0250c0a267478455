/** The build: the erasure kernel, then the command and its worker bundled to dist/. Takes about a second. */
import { existsSync } from "node:fs"
import { rm } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { buildKernel } from "./build-kernel.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const entries = { holdfast: "packages/cli/src/main.ts", "chunk-worker": "packages/store/src/node/chunk-worker.ts" }

await buildKernel()
await rm(`${root}dist`, { recursive: true, force: true })
await build({
  absWorkingDir: root,
  entryPoints: Object.fromEntries(Object.entries(entries).filter(([, path]) => existsSync(`${root}${path}`))),
  outdir: "dist",
  outExtension: { ".js": ".mjs" },
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node24",
  // Their CommonJS forms lose their names in a bundle that imports them late.
  alias: {
    "hash-wasm": "hash-wasm/dist/index.esm.js",
    "@zxcvbn-ts/core": "@zxcvbn-ts/core/dist/index.mjs",
    "@zxcvbn-ts/language-common": "@zxcvbn-ts/language-common/dist/index.mjs",
  },
  // These two talk through global state at import time, which bundling reorders.
  external: ["@peculiar/x509", "reflect-metadata"],
  sourcemap: true,
  logLevel: "warning",
  // Some dependencies are CommonJS and call require for Node's own modules.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
})
