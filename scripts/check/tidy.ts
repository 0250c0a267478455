/**
 * What a formatter does not see: files that grew too long, names that say nothing, exports without a comment, format
 * pages without vectors, and traces of the machine that something was written on.
 */
import { existsSync, readFileSync, statSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import ts from "typescript"
import { lineOf, listFiles, parseSource, type SourceFile, type Violation } from "./source.ts"

const maxLines = 400
const bannedNames = new Set(["util", "utils", "common", "helper", "helpers", "misc"])
const codeFolders = ["packages", "scripts", "bench", "e2e", "interop"]
const textFolders = [...codeFolders, "docs", "changelog", ".ci", "bin"]
const textFile = /\.(ts|js|mjs|md|py|json|sh|html)$|\/(run|setup)$/
/** Where text for people comes out, cleaned: nothing else writes to a terminal. */
const sinks = new Set([
  "packages/cli/src/screen.ts",
  "packages/cli/src/main.ts", // the version
  "packages/cli/src/exit-codes.ts",
  "packages/cli/src/program.ts",
  "packages/cli/src/progress.ts",
  "packages/cli/src/output.ts", // bytes of files
])
const writesOut = /\bstd(?:out|err)\.write\(|\bconsole\.\w|\bwriteSync\((?!file\b|.*\b(?:shownLine\(|"))/
const machinePath = /(^|[\s"'`(=])\/(work|root)\//
const looseTodo = /\b(?:TODO|FIXME|XXX)\b(?!\([^)]+\)|: \S+)/

/** Every untidiness under `root`. */
export function checkTidy(root: string): Violation[] {
  const violations: Violation[] = []
  for (const folder of codeFolders) {
    for (const path of listFiles(root, folder, ".ts")) violations.push(...checkCode(root, path))
  }
  for (const folder of textFolders) {
    for (const path of listFiles(root, folder)) if (textFile.test(path)) violations.push(...checkText(root, path))
  }
  for (const path of ["README.md", "CHANGELOG.md", "package.json"]) violations.push(...checkText(root, path))
  for (const path of ["README.md", "CHANGELOG.md", ...listFiles(root, "docs", ".md")])
    violations.push(...checkLinks(root, path))
  return [...violations, ...checkFormats(root), ...checkLockFile(root)]
}

function checkCode(root: string, path: string): Violation[] {
  const violations: Violation[] = []
  if (path.endsWith(".generated.ts")) return violations
  const stem = basename(path).split(".")[0]!
  if (bannedNames.has(stem)) violations.push({ where: path, rule: "name", message: "name the file after its concept" })
  const file = parseSource(root, path)
  const lines = file.text.split("\n").length - 1
  if (lines > maxLines)
    violations.push({ where: path, rule: "length", message: `has ${lines} lines; the most is ${maxLines}: split it` })
  if (/^packages\/[^/]+\/src\//.test(path)) violations.push(...checkComments(file), ...checkSink(file))
  return violations
}

/** What servers, members and files are called must not drive a terminal: all text goes through the screen. */
function checkSink({ path, text }: SourceFile): Violation[] {
  if (sinks.has(path) || path.startsWith("packages/simulator/")) return []
  return text.split("\n").flatMap((line, index) => {
    if (!writesOut.test(line)) return []
    return [{ where: `${path}:${index + 1}`, rule: "sink", message: "write through the context's screen" }]
  })
}

/** Exported functions, classes and interfaces begin with a comment that says what they are. */
function checkComments(file: SourceFile): Violation[] {
  const violations: Violation[] = []
  for (const statement of file.ast.statements) {
    const named =
      ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement) || ts.isInterfaceDeclaration(statement)
    if (!named || !statement.name || !isExported(statement) || ts.getJSDocCommentsAndTags(statement).length > 0)
      continue
    const where = `${file.path}:${lineOf(file.ast, statement)}`
    violations.push({ where, rule: "comment", message: `export ${statement.name.text} has no comment` })
  }
  return violations
}

function isExported(statement: ts.HasModifiers): boolean {
  return ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false
}

function checkText(root: string, path: string): Violation[] {
  const violations: Violation[] = []
  const full = join(root, path)
  if (!statSync(full, { throwIfNoEntry: false })) return violations
  readFileSync(full, "utf8")
    .split("\n")
    .forEach((line, index) => {
      const where = `${path}:${index + 1}`
      if (machinePath.test(line))
        violations.push({ where, rule: "machine-path", message: "names a path of one machine" })
      if (looseTodo.test(line) && !path.startsWith("scripts/check/"))
        violations.push({ where, rule: "todo", message: "give the reason: `TODO: what and why`" })
    })
  return violations
}

/** Links between pages lead somewhere. */
function checkLinks(root: string, path: string): Violation[] {
  if (!existsSync(join(root, path))) return []
  const links = [
    ...readFileSync(join(root, path), "utf8").matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)/g),
  ]
  return links
    .map(([, target]) => target!)
    .filter((target) => !existsSync(join(root, dirname(path), target)))
    .map((target) => ({ where: path, rule: "link", message: `links to ${target}, which does not exist` }))
}

/** Each format page says where its frozen vectors are, and they are there. */
function checkFormats(root: string): Violation[] {
  const violations: Violation[] = []
  for (const path of listFiles(root, "docs/formats", ".md")) {
    if (basename(path) === "README.md") continue
    const report = (message: string) => violations.push({ where: path, rule: "vectors", message })
    const named = readFileSync(join(root, path), "utf8").match(/interop\/(?:vectors|golden)\/[\w./-]*[\w/]/g) ?? []
    if (named.length === 0) report("does not name its vectors in interop/vectors")
    for (const vectors of named) if (!existsSync(join(root, vectors))) report(`names ${vectors}, which does not exist`)
  }
  return violations
}

/** The lock file names packages by version and integrity only, so that it installs through any registry. */
function checkLockFile(root: string): Violation[] {
  const path = "package-lock.json"
  if (!existsSync(join(root, path))) return []
  const hosts = readFileSync(join(root, path), "utf8").match(/"resolved": "https?:\/\/[^/"]+/g) ?? []
  if (hosts.length === 0) return []
  return [{ where: path, rule: "lock-file", message: `names registry hosts: ${hosts[0]}; see .npmrc, and npm install` }]
}
