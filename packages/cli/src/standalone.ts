/**
 * Entry of the single executable, which holds the bundles of the command as assets. They are loaded as modules from there, and nothing is
 * loaded from a disk: their addresses lie below the executable, which is no folder, so nobody could ever put a file at one.
 */
import { createRequire, isBuiltin, registerHooks } from "node:module"
import { getRawAsset } from "node:sea"
import { pathToFileURL } from "node:url"

const base = `${pathToFileURL(process.execPath).href}/`

/** Packages that the bundles import by name are assets of that name. */
function addressOf(specifier: string, parent: string | undefined): string {
  if (specifier.startsWith(base)) return specifier
  if (specifier.startsWith("./") && parent?.startsWith(base)) return new URL(specifier, parent).href
  return `${base}${specifier}.mjs`
}

registerHooks({
  resolve(specifier, context, next) {
    if (isBuiltin(specifier) || specifier.startsWith("data:")) return next(specifier, context)
    return { url: addressOf(specifier, context.parentURL), format: "module", shortCircuit: true }
  },
  load(url, context, next) {
    if (!url.startsWith("file:")) return next(url, context)
    // Throws for what is no asset.
    const source = new Uint8Array(getRawAsset(url.slice(base.length)) as ArrayBuffer)
    return { format: "module", source, shortCircuit: true }
  },
})

// This code itself may import nothing but what comes with Node; what it requires may import all else.
createRequire(`${base}standalone`)("./start.mjs")
