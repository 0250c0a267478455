/** Gathers the fragments of changelog/unreleased into a section of CHANGELOG.md. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** Kinds in the order of their headings; a fragment may have an older word for its kind. */
const kinds: readonly (readonly [heading: string, words: readonly string[]])[] = [
  ["Security", ["security"]],
  ["New", ["new", "feature"]],
  ["Better", ["better", "change"]],
  ["Mended", ["fix", "fixed"]],
]

/**
 * Writes the section of `version` above those before and removes the fragments. Throws for one without a kind that is known, and when
 * there is nothing to gather.
 */
export function gatherChanges(root: string, version: string, date: string): void {
  const folder = join(root, "changelog/unreleased")
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(".md"))
    .sort()
  if (files.length === 0) throw new Error("Nothing is in changelog/unreleased.")
  const texts = new Map<string, string[]>(kinds.map(([heading]) => [heading, []]))
  for (const name of files) {
    const [, kind, text] = /^Kind: (\w+)\n\n([\s\S]+)$/.exec(readFileSync(join(folder, name), "utf8")) ?? []
    const heading = kinds.find(([, words]) => words.includes(kind ?? ""))?.[0]
    if (!heading || !text) throw new Error(`changelog/unreleased/${name} does not begin with a kind, as "Kind: fix".`)
    texts.get(heading)!.push(`- ${text.trim().replaceAll("\n", "\n  ")}`)
  }
  const parts = [...texts].filter(([, items]) => items.length > 0)
  const section = parts.map(([heading, items]) => `### ${heading}\n\n${items.join("\n")}\n`).join("\n")
  const path = join(root, "CHANGELOG.md")
  const before = readFileSync(path, "utf8")
  const at = before.search(/^## /m)
  const [intro, older] = at < 0 ? [before, ""] : [before.slice(0, at), before.slice(at)]
  writeFileSync(path, `${intro.trimEnd()}\n\n## ${version} (${date})\n\n${section}${older === "" ? "" : `\n${older}`}`)
  for (const name of files) rmSync(join(folder, name))
}
