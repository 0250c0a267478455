/** Each attack in the threat model, and each rule of the design, names tests that exist: a table nobody can run proves nothing. */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import { listFiles, parseSource, type Violation, walk } from "./source.ts"

/** Tables that name tests in their last column, by page and how their heads begin. */
const tables = [
  ["docs/threat-model.md", "Attack"],
  ["docs/threat-model.md", "Who"],
  ["docs/rules.md", "Rule"],
] as const
const citation = /^\[[^\]]+\]\(\.\.\/([^)]+)\): (.+)$/

/** Rows of the tables without a test, and tests named there that are not in the sources. */
export function checkThreats(root: string): Violation[] {
  return tables.flatMap(([page, head]) => (existsSync(join(root, page)) ? checkPage(root, page, head) : []))
}

function checkPage(root: string, page: string, head: string): Violation[] {
  const lines = readFileSync(join(root, page), "utf8").split("\n")
  const start = lines.findIndex((line) => line.startsWith("|") && cellsOf(line)[0] === head)
  if (start < 0) return [{ where: page, rule: "threats", message: `has no table that begins with "${head}"` }]
  const end = lines.findIndex((line, i) => i > start && !line.startsWith("|"))
  const rows = lines
    .slice(start, end < 0 ? undefined : end)
    .map((line, i) => ({ cells: cellsOf(line), where: `${page}:${start + i + 1}` }))
  return rows.slice(2).flatMap(({ cells, where }) => {
    const report = (message: string): Violation => ({ where, rule: "threats", message })
    return (cells.at(-1) ?? "").split("<br>").flatMap((text) => {
      const [, file = "", title = ""] = citation.exec(text.trim()) ?? []
      if (!title) return [report(`"${text}" is not [file](../path): title`)]
      return isTitle(root, file, title) ? [] : [report(`${file} has no test "${title}"`)]
    })
  })
}

function cellsOf(line: string): string[] {
  return line
    .slice(1, line.lastIndexOf("|"))
    .split("|")
    .map((cell) => cell.trim())
}

/** True when a test of `file` has this title; what stands for a placeholder must be in quotes or a property somewhere near. */
function isTitle(root: string, file: string, title: string): boolean {
  if (!existsSync(join(root, file))) return false
  let found = false
  walk(parseSource(root, file).ast, (node) => {
    if (!ts.isCallExpression(node) || !/^(test|it)$/.test(node.expression.getText())) return
    const values = valuesIn(node.arguments[0], title)
    found ||= values?.every((value) => isValue(root, file, value)) ?? false
  })
  return found
}

/** What `title` has in the places of the pattern's expressions; undefined when it does not match. */
function valuesIn(pattern: ts.Node | undefined, title: string): string[] | undefined {
  if (!pattern) return undefined
  if (ts.isStringLiteralLike(pattern)) return pattern.text === title ? [] : undefined
  if (!ts.isTemplateExpression(pattern)) return undefined
  const parts = [pattern.head.text, ...pattern.templateSpans.map((span) => span.literal.text)]
  const expression = new RegExp(`^${parts.map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")).join("(.+)")}$`)
  return expression.exec(title)?.slice(1)
}

/** A string or the name of a property in the test's own folder, or in what packages keep for tests. */
function isValue(root: string, file: string, value: string): boolean {
  const folder = file.slice(0, file.lastIndexOf("/"))
  const paths = [...listFiles(root, folder, ".ts"), ...listFiles(root, "packages", ".ts").filter(isForTests)]
  const property = /^\w+$/.test(value) ? new RegExp(`(^|[^\\w])${value}:`, "m") : undefined
  return paths.some((path) => {
    const text = readFileSync(join(root, path), "utf8")
    return text.includes(`"${value}"`) || property?.test(text)
  })
}

function isForTests(path: string): boolean {
  return path.includes("/src/testing/")
}
