#!/usr/bin/env node
// Starts the built command under a Node that is new enough: the one installed as a dependency, if the machine's is older.
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const built = new URL("../dist/holdfast.mjs", import.meta.url)
const ownNode = fileURLToPath(new URL("../node_modules/.bin/node", import.meta.url))

if (!existsSync(built)) {
  process.stderr.write("holdfast: not built yet. Run `npm start` (or `npm run setup`) in the checkout first.\n")
  process.exit(1)
} else if (Number.parseInt(process.versions.node, 10) >= 24) {
  await import(built.href)
} else if (existsSync(ownNode)) {
  const child = spawn(ownNode, [fileURLToPath(built), ...process.argv.slice(2)], { stdio: "inherit" })
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal))
  child.on("exit", (code, signal) => {
    if (signal) process.kill(process.pid, signal)
    else process.exit(code ?? 1)
  })
} else {
  process.stderr.write(
    `holdfast: needs Node 24 or newer; this is ${process.version}. Run \`npm start\`, which brings its own.\n`,
  )
  process.exit(1)
}
