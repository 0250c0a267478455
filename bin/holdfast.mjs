#!/usr/bin/env node
// Starts the built command under a Node that is new enough: the one installed as a dependency, if the machine's is older.
import { spawn } from "node:child_process"
import { existsSync, statSync } from "node:fs"
import * as modules from "node:module"
import { isAbsolute, join } from "node:path"
import { fileURLToPath } from "node:url"

const built = new URL("../dist/holdfast.mjs", import.meta.url)
const ownNode = fileURLToPath(new URL("../node_modules/.bin/node", import.meta.url))
/** What asks a process to end; each one ends the other too, and with the status that it would have had alone. */
const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]

if (!existsSync(built)) {
  process.stderr.write("holdfast: not built yet. Run `npm start` (or `npm run setup`) in the checkout first.\n")
  process.exit(1)
} else if (Number.parseInt(process.versions.node, 10) >= 24) {
  const cache = compileCache()
  if (cache) modules.enableCompileCache(cache)
  await import(built.href)
} else if (existsSync(ownNode)) {
  startUnder(ownNode)
} else {
  process.stderr.write(
    `holdfast: needs Node 24 or newer; this is ${process.version}. Run \`npm start\`, which brings its own.\n`,
  )
  process.exit(1)
}

/** Where V8 keeps what it compiled, so that the next start need not. Undefined where somebody else could fill it. */
function compileCache() {
  const { HOME = "", XDG_CACHE_HOME = "" } = process.env
  const base = isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : join(HOME, ".cache")
  return isAbsolute(base) && ownerOf(base, HOME) === process.getuid?.() ? join(base, "holdfast", "compiled") : undefined
}

/** The user id of the first of these folders that is there: what lies in another user's is not run. */
function ownerOf(...folders) {
  for (const folder of folders)
    try {
      return statSync(folder).uid
    } catch {
      // the next one, then
    }
  return undefined
}

function startUnder(node) {
  // By the channel the command notices when this process is killed, and ends too.
  const stdio = ["inherit", "inherit", "inherit", "ipc"]
  const cache = compileCache()
  const env = { ...(cache && { NODE_COMPILE_CACHE: cache }), ...process.env, HOLDFAST_LAUNCHED: "1" }
  const child = spawn(node, [fileURLToPath(built), ...process.argv.slice(2)], { stdio, env })
  for (const signal of signals) process.on(signal, () => child.kill(signal))
  child.on("error", (error) => {
    process.stderr.write(`holdfast: ${node} cannot be started: ${error.message}\n`)
    process.exit(1)
  })
  child.on("exit", (code, signal) => {
    if (!signal) process.exit(code ?? 1)
    for (const one of signals) process.removeAllListeners(one) // else it would be heard here, and end nothing
    process.kill(process.pid, signal)
  })
}
