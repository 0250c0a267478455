// The built command, with what V8 compiled of it the last time. `bin/holdfast` starts it under a Node that is new enough.
import { existsSync, statSync } from "node:fs"
import * as modules from "node:module"
import { isAbsolute, join } from "node:path"

const built = new URL("../dist/holdfast.mjs", import.meta.url)

if (!existsSync(built)) {
  process.stderr.write("holdfast: not built yet. Run `npm start` (or `npm run setup`) in the checkout first.\n")
  process.exit(1)
} else if (Number.parseInt(process.versions.node, 10) < 24) {
  process.stderr.write(
    `holdfast: needs Node 24 or newer; this is ${process.version}. Run \`bin/holdfast\`, which uses the Node that npm installs with it.\n`,
  )
  process.exit(1)
} else {
  const cache = compileCache()
  if (cache) modules.enableCompileCache(cache)
  await import(built.href)
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
