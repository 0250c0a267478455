/**
 * The layers of the house, checked over the sources: a package imports only from smaller numbers and only through the
 * other's exports, the files of a package form no cycle, iso code knows nothing of Node, and a server cannot even name
 * the code that decrypts.
 */
import { existsSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"
import ts from "typescript"
import { lineOf, listFiles, parseSource, type SourceFile, type Violation, walk } from "./source.ts"

/** A package imports only from smaller numbers. */
export const layers: Readonly<Record<string, number>> = {
  core: 0,
  protocol: 1,
  network: 2,
  backends: 2,
  store: 2,
  tree: 3,
  node: 3,
  coordinator: 3,
  client: 4,
  fs: 4,
  cli: 7,
  simulator: 7,
}

const isoPackages = new Set(["core", "protocol", "store", "tree", "fs", "backends"])
const platformFolder = /\/src\/(?:.*\/)?(?:node|directory|s3|testing)\//
const nodeGlobals = new Set(["Buffer", "process", "require", "__dirname", "__filename", "setImmediate"])
/** Packages of smaller numbers that a package has no use for: what it needs of them is passed to it. */
const apart: Readonly<Record<string, ReadonlySet<string>>> = { fs: new Set(["network", "backends"]) }
/** Folders that use packages as anybody may. */
const outside = ["bench", "e2e"]
const servers = new Set(["node", "coordinator"])
const decryption = new Set(["createCipheriv", "createDecipheriv", "decodeCap", "toReadCap", "deriveKey", "subtle"])

/** Every broken layer rule in the packages under `root`. */
export function checkLayers(root: string): Violation[] {
  const violations: Violation[] = []
  for (const name of packageNames(root)) {
    if (!(name in layers)) {
      violations.push({ where: `packages/${name}`, rule: "layers", message: "is not in the table of layers" })
      continue
    }
    const files = listFiles(root, `packages/${name}/src`, ".ts").map((path) => parseSource(root, path))
    for (const file of files) {
      violations.push(...checkImports(root, name, file))
      if (isoPackages.has(name) && !platformFolder.test(file.path)) violations.push(...checkIso(file))
      if (servers.has(name)) violations.push(...checkServer(file))
    }
    violations.push(...checkCycles(files))
  }
  for (const folder of outside)
    for (const path of listFiles(root, folder, ".ts")) violations.push(...checkDoors(parseSource(root, path)))
  return violations
}

/** What stands beside the packages comes in by their doors. */
function checkDoors({ path, imports }: SourceFile): Violation[] {
  return imports
    .filter(({ specifier }) => /^\..*\/packages\/[^/]+\/src\//.test(specifier))
    .map(({ specifier, line }) => ({
      where: `${path}:${line}`,
      rule: "deep-import",
      message: `imports ${specifier}, which is private to its package`,
    }))
}

function packageNames(root: string): string[] {
  return [...new Set(listFiles(root, "packages", ".ts").map((path) => path.split("/")[1]!))]
}

function checkImports(root: string, name: string, file: SourceFile): Violation[] {
  const violations: Violation[] = []
  for (const { specifier, line } of file.imports) {
    const report = (rule: string, message: string) => violations.push({ where: `${file.path}:${line}`, rule, message })
    if (specifier.startsWith(".")) {
      const target = posix.join(posix.dirname(file.path), specifier)
      if (!target.startsWith(`packages/${name}/`))
        report("deep-import", `imports ${specifier} outside its package; use @holdfast/... instead`)
      continue
    }
    const match = /^@holdfast\/([^/]+)(\/.*)?$/.exec(specifier)
    if (!match) continue
    const [, other = "", path = ""] = match
    const layer = layers[other]
    if (layer === undefined || layer >= layers[name]!)
      report("upward-import", `${name} (${layers[name]}) imports ${specifier} (${layer ?? "unknown"})`)
    if (apart[name]?.has(other)) report("apart", `${name} takes what it needs of ${other} as a parameter`)
    if (servers.has(name) && (other === "store" || other === "tree"))
      report("server-decrypts", `${name} is a server and may not import ${specifier}`)
    if (!exportsOf(root, other).has(`.${path}`))
      report("deep-import", `${specifier} is not among the exports of packages/${other}/package.json`)
  }
  return violations
}

function exportsOf(root: string, name: string): Set<string> {
  const path = join(root, "packages", name, "package.json")
  if (!existsSync(path)) return new Set()
  const manifest = JSON.parse(readFileSync(path, "utf8")) as { exports?: Record<string, string> }
  return new Set(Object.keys(manifest.exports ?? {}))
}

/** Code that must run in a page too: no Node module, no Node global. */
function checkIso(file: SourceFile): Violation[] {
  const violations: Violation[] = []
  for (const { specifier, line } of file.imports) {
    if (!specifier.startsWith("node:") && !/^@holdfast\/[^/]+\/node$/.test(specifier)) continue
    violations.push({ where: `${file.path}:${line}`, rule: "iso", message: `iso code imports ${specifier}` })
  }
  walk(file.ast, (node) => {
    if (!ts.isIdentifier(node) || !nodeGlobals.has(node.text) || isMemberName(node)) return
    const where = `${file.path}:${lineOf(file.ast, node)}`
    violations.push({ where, rule: "iso", message: `iso code uses the Node global ${node.text}` })
  })
  return violations
}

/** A server holds ciphertext only: it does not name what encrypts, decrypts or opens capabilities. */
function checkServer(file: SourceFile): Violation[] {
  const violations: Violation[] = []
  const report = (line: number, what: string) =>
    violations.push({ where: `${file.path}:${line}`, rule: "server-decrypts", message: `a server uses ${what}` })
  for (const { specifier, line } of file.imports) if (specifier.startsWith("@noble/ciphers")) report(line, specifier)
  walk(file.ast, (node) => {
    if (ts.isIdentifier(node) && decryption.has(node.text)) report(lineOf(file.ast, node), node.text)
    if (!ts.isPropertyAccessExpression(node) || !["seal", "open"].includes(node.name.text)) return
    if (/crypto$/i.test(node.expression.getText(file.ast))) report(lineOf(file.ast, node), node.getText(file.ast))
  })
  return violations
}

/** True where an identifier names a member or a key, not a variable: `x.process`, `{ process: 1 }`, a method. */
function isMemberName(node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent) || ts.isQualifiedName(parent)) return getLast(parent) === node
  if (ts.isImportSpecifier(parent) || ts.isExportSpecifier(parent)) return false
  if (ts.isShorthandPropertyAssignment(parent) || ts.isVariableDeclaration(parent)) return false
  return "name" in parent && parent.name === node
}

function getLast(node: ts.PropertyAccessExpression | ts.QualifiedName): ts.Node {
  return ts.isQualifiedName(node) ? node.right : node.name
}

/** Cycles among the files of one package, by all that they import: types and late imports too. */
function checkCycles(files: readonly SourceFile[]): Violation[] {
  const edges = new Map<string, string[]>()
  for (const file of files) {
    const targets = file.imports.filter(({ specifier }) => specifier.startsWith("."))
    edges.set(
      file.path,
      targets.map(({ specifier }) => posix.join(posix.dirname(file.path), specifier)),
    )
  }
  const violations: Violation[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]) => {
    const start = trail.indexOf(path)
    if (start >= 0) {
      const cycle = [...trail.slice(start), path].join(" -> ")
      violations.push({ where: path, rule: "cycle", message: `files import each other: ${cycle}` })
      return
    }
    if (done.has(path)) return
    for (const target of edges.get(path) ?? []) visit(target, [...trail, path])
    done.add(path)
  }
  for (const path of edges.keys()) visit(path, [])
  return violations
}
