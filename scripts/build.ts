/**
 * The build: the erasure kernel, then the command and its worker bundled to dist/, or to the folder that is named. Takes about a second.
 * `node scripts/build.ts [FOLDER]`.
 */
import { existsSync } from "node:fs"
import { mkdir, rename, rm } from "node:fs/promises"
import { resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"
import { buildKernel } from "./build-kernel.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const entries = { holdfast: "packages/cli/src/main.ts", "chunk-worker": "packages/store/src/node/chunk-worker.ts" }

const target = resolve(process.argv[2] ?? `${root}dist`)
/**
 * Built beside it and exchanged at the end: a command that starts meanwhile finds a whole build, but for the instant between two renames.
 */
const fresh = `${target}.${process.pid}.new`
const old = `${target}.${process.pid}.old`

await buildKernel()
await mkdir(fresh, { recursive: true })
await build({
  absWorkingDir: root,
  entryPoints: Object.fromEntries(Object.entries(entries).filter(([, path]) => existsSync(`${root}${path}`))),
  outdir: fresh,
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
  // Maps name the sources from where they lie, so what is built elsewhere would differ from place to place.
  sourcemap: process.argv[2] === undefined,
  logLevel: "warning",
  // Some dependencies are CommonJS and call require for Node's own modules.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
})
if (existsSync(target)) await rename(target, old)
await rename(fresh, target)
await rm(old, { recursive: true, force: true })
