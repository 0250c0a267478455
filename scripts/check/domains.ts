/**
 * Every hash, signature, MAC and derived key has a domain label of its own: each label stands in one place of the sources, and in
 * the table of labels in docs/formats/README.md with what it is for. So no structure is taken for another.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import { listFiles, parseSource, type Violation, walk } from "./source.ts"

const page = "docs/formats/README.md"
const label = /^holdfast\/[a-z0-9-]+\/\d+$/

/** Labels with two places or two meanings, and those that the table lacks or has for nothing. */
export function checkDomains(root: string): Violation[] {
  if (!existsSync(join(root, page))) return []
  const places = new Map<string, string[]>()
  for (const path of listFiles(root, "packages", ".ts").filter(isProduct))
    walk(parseSource(root, path).ast, (node) => {
      if (!ts.isStringLiteralLike(node) || !label.test(node.text)) return
      places.set(node.text, [...(places.get(node.text) ?? []), path])
    })
  const listed = [...readFileSync(join(root, page), "utf8").matchAll(/^\| `(holdfast\/[a-z0-9-]+\/\d+)`/gm)].map(
    ([, text]) => text!,
  )
  const report = (where: string, message: string): Violation => ({ where, rule: "domains", message })
  return [
    ...[...places].flatMap(([text, paths]) => [
      ...(paths.length > 1
        ? [report(paths[1]!, `"${text}" is used in ${paths[0]} already: one label, one purpose`)]
        : []),
      ...(listed.includes(text) ? [] : [report(paths[0]!, `"${text}" is not in the table of labels in ${page}`)]),
    ]),
    ...listed.filter((text) => !places.has(text)).map((text) => report(page, `lists "${text}", which nothing uses`)),
    ...listed
      .filter((text, i) => listed.indexOf(text) !== i)
      .map((text) => report(page, `lists "${text}" twice: one label, one purpose`)),
  ]
}

/** Vectors are computed a second time by tests, which name the labels again. */
function isProduct(path: string): boolean {
  return path.includes("/src/") && !path.includes("/testing/")
}
