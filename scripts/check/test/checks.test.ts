import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { type TestContext, test } from "node:test"
import { advisoriesIn, updateAdvisories } from "../../update-advisories.ts"
import { ageOfAdvisories, checkAdvisories } from "../advisories.ts"
import { checkDomains } from "../domains.ts"
import { checkLayers } from "../layers.ts"
import { checkShape } from "../shape.ts"
import { checkThreats } from "../threats.ts"
import { checkTidy } from "../tidy.ts"

/** A checkout with the given files beside a sound core, store and protocol. */
function house(t: TestContext, files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), "holdfast-house-"))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  const manifest = JSON.stringify({ exports: { ".": "./src/index.ts" } })
  const sound = {
    "packages/core/package.json": manifest,
    "packages/core/src/index.ts": "/** One. */\nexport function one() { return 1 }\n",
    "packages/protocol/package.json": manifest,
    "packages/protocol/src/index.ts": 'export { one } from "@holdfast/core"\n',
    "packages/store/package.json": manifest,
    "packages/store/src/index.ts": 'import { one } from "@holdfast/protocol"\none()\n',
  }
  for (const [path, text] of Object.entries({ ...sound, ...files })) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return root
}

const rules = (violations: { rule: string }[]) => [...new Set(violations.map(({ rule }) => rule))]

test("a house in order has no violations", (t) => {
  const root = house(t, {})
  assert.deepEqual(checkLayers(root), [])
  assert.deepEqual(checkTidy(root), [])
  assert.deepEqual(checkShape(root), [])
})

test("functions that are too long, comments that are too wide and exports that nobody uses are found", (t) => {
  const lines = (count: number) => "  one()\n".repeat(count)
  const long = `function long() {\n${lines(69)}}\nlong()\n`
  const factory = `function factory() {\n${lines(30)}  return {\n    inner() {\n${lines(60)}    },\n  }\n}\nfactory()\n`
  const text = `const text = () => \`\n${"line\n".repeat(80)}\`\ntext()\n`
  const wide = `// ${"wide ".repeat(30)}\n`
  const unused = "export const nobody = 1\n"
  for (const [code, found] of [
    [long, ["function"]],
    [long.replace("  one()\n", ""), []],
    [factory, []],
    [text, []],
    [wide, ["comment-width"]],
    [unused, ["dead-export"]],
    [unused.replace("const nobody = 1", "type Nobody = 1"), []],
  ] as const)
    assert.deepEqual(rules(checkShape(house(t, { "packages/core/src/more.ts": code }))), found, code.slice(0, 40))
})

const broken: [title: string, path: string, text: string, rule: string][] = [
  ["an upward import", "packages/core/src/a.ts", 'import "@holdfast/store"\n', "upward-import"],
  [
    "an upward import of types",
    "packages/core/src/a.ts",
    'import type { X } from "@holdfast/store"\n',
    "upward-import",
  ],
  ["an import from the same layer", "packages/backends/src/a.ts", 'import "@holdfast/store"\n', "upward-import"],
  ["an upward dynamic import", "packages/core/src/a.ts", 'await import("@holdfast/store")\n', "upward-import"],
  ["a re-export from above", "packages/core/src/a.ts", 'export * from "@holdfast/store"\n', "upward-import"],
  ["an import past the exports", "packages/store/src/a.ts", 'import "@holdfast/core/src/a.ts"\n', "deep-import"],
  ["a path into another package", "packages/store/src/a.ts", 'import "../../core/src/index.ts"\n', "deep-import"],
  ["a Node module in iso code", "packages/core/src/a.ts", 'import { open } from "node:fs"\n', "iso"],
  ["a Node half of a package in iso code", "packages/store/src/a.ts", 'import "@holdfast/core/node"\n', "iso"],
  ["a Buffer in iso code", "packages/tree/src/a.ts", "export const a = Buffer.from([])\n", "iso"],
  ["process in iso code", "packages/protocol/src/a.ts", "if (process.env.X) throw 1\n", "iso"],
  [
    "a benchmark that knows the inside of a package",
    "bench/a.ts",
    'import "../packages/core/src/a.ts"\n',
    "deep-import",
  ],
  ["files that know places", "packages/fs/src/a.ts", 'import "@holdfast/backends"\n', "apart"],
  ["a server that imports the store", "packages/node/src/a.ts", 'import "@holdfast/store"\n', "server-decrypts"],
  [
    "a coordinator that imports the tree",
    "packages/coordinator/src/a.ts",
    'import "@holdfast/tree"\n',
    "upward-import",
  ],
  ["a server that deciphers", "packages/node/src/a.ts", "createDecipheriv()\n", "server-decrypts"],
  [
    "a server that opens what is sealed",
    "packages/node/src/a.ts",
    "await env.crypto.open(k, n, s, a)\n",
    "server-decrypts",
  ],
  ["a package without a layer", "packages/extra/src/a.ts", "export {}\n", "layers"],
]
for (const [title, path, text, rule] of broken) {
  test(`the layers report ${title}`, (t) => {
    assert.ok(rules(checkLayers(house(t, { [path]: text }))).includes(rule))
  })
}

test("the layers report a cycle among files, of types too", (t) => {
  const cycle = (kind: string) =>
    house(t, {
      "packages/core/src/a.ts": 'import { b } from "./b.ts"\nexport const a = b\n',
      "packages/core/src/b.ts": `import ${kind}{ a } from "./a.ts"\n`,
    })
  assert.deepEqual(rules(checkLayers(cycle(""))), ["cycle"])
  assert.deepEqual(rules(checkLayers(cycle("type "))), ["cycle"])
})

test("Node is allowed in the folders that are for it, and members may be called process", (t) => {
  const root = house(t, {
    "packages/core/src/node/index.ts": 'import "node:fs"\nprocess.exit()\n',
    "packages/core/src/a.ts": "export const a = { process: 1 }\na.process++\n",
  })
  assert.deepEqual(checkLayers(root), [])
})

const untidy: [title: string, path: string, text: string, rule: string][] = [
  ["a file of more than 400 lines", "packages/core/src/a.ts", "// line\n".repeat(401), "length"],
  ["a file called helpers", "packages/core/src/helpers.ts", "export {}\n", "name"],
  ["an exported function without a comment", "packages/core/src/a.ts", "export function a() {}\n", "comment"],
  ["an exported class without a comment", "packages/core/src/a.ts", "export class A {}\n", "comment"],
  ["a format page without vectors", "docs/formats/a.md", "# A\n", "vectors"],
  ["a format page with vectors that are not there", "docs/formats/a.md", "See interop/vectors/a.json.\n", "vectors"],
  ["a link to a page that is not there", "README.md", "[a](docs/a.md#b)\n", "link"],
  ["a path of one machine", "docs/a.md", `cd ${["", "root", "x"].join("/")}\n`, "machine-path"],
  ["a registry in the lock file", "package-lock.json", '{"resolved": "https://example.org/a.tgz"}', "lock-file"],
  ["text that goes out past the screen", "packages/cli/src/a.ts", "context.stderr.write(name)\n", "sink"],
  ["a question that goes out as it is", "packages/cli/src/a.ts", "writeSync(terminal, question)\n", "sink"],
  ["a bare note of work to do", "packages/core/src/a.ts", `// ${"TO"}DO\n`, "todo"],
]
for (const [title, path, text, rule] of untidy) {
  test(`tidy reports ${title}`, (t) => {
    assert.deepEqual(rules(checkTidy(house(t, { [path]: text }))), [rule])
  })
}

test("an attack in the threat model names tests that are there, with what their titles are made of", (t) => {
  const tests =
    'const lies = { deaf: 1, "tells nothing": 2 }\ntest("plain", () => 1)\ntest(`one that ${lie} fails`, () => 1)\n'
  const threats = (cell: string) => {
    const table = `| Attack | What happens | Test |\n| --- | --- | --- |\n| some | error | ${cell} |\n`
    const page = `${table}\n${table.replace("Attack", "Who")}`
    return checkThreats(house(t, { "packages/core/test/a.test.ts": tests, "docs/threat-model.md": page })).length / 2
  }
  const cite = (title: string) => `[a](../packages/core/test/a.test.ts): ${title}`
  assert.equal(threats(cite("plain")), 0)
  assert.equal(threats(`${cite("one that tells nothing fails")}<br>${cite("one that deaf fails")}`), 0)
  assert.equal(threats(cite("one that tells something fails")), 1)
  assert.equal(threats(cite("another")), 1)
  assert.equal(threats("[a](../packages/core/test/b.test.ts): plain"), 1)
  assert.equal(threats(""), 1)
})

test("a domain label has one place and one line in the table of labels", (t) => {
  const table = (...labels: string[]) => labels.map((label) => `| \`holdfast/${label}/1\` | hash: it |\n`).join("")
  const domains = (source: string, labels: string) =>
    checkDomains(house(t, { "packages/core/src/a.ts": source, "docs/formats/README.md": labels })).length
  assert.equal(domains('hash("holdfast/a/1")\n', table("a")), 0)
  assert.equal(domains('hash("holdfast/a/1", sign("holdfast/a/1"))\n', table("a")), 1)
  assert.equal(domains('hash("holdfast/a/1")\n', table()), 1)
  assert.equal(domains('hash("holdfast/a/1")\n', table("a", "b")), 1)
  assert.equal(domains('hash("holdfast/a/1")\n', table("a", "a")), 1)
})

test("a package with a known fault is told until it is replaced, or the fault is accepted", async (t) => {
  const record = {
    id: "GHSA-1",
    summary: "it breaks",
    affected: [
      {
        package: { ecosystem: "npm", name: "wrap" },
        ranges: [{ events: [{ introduced: "7.0.0" }, { fixed: "7.0.5" }] }],
      },
      {
        package: { ecosystem: "npm", name: "wrap" },
        ranges: [{ events: [{ introduced: "0" }, { last_affected: "5.9.0" }] }],
      },
      { package: { ecosystem: "PyPI", name: "other" }, ranges: [{ events: [{ introduced: "0" }] }] },
    ],
  }
  const told = async (version: string, accepted: readonly object[] = []) => {
    const packages = {
      "": {},
      "node_modules/a/node_modules/wrap": { version },
      "node_modules/other": { version: "1.0.0" },
    }
    const root = house(t, {
      "package-lock.json": JSON.stringify({ packages }),
      "osv/2024/one.json": JSON.stringify(record),
    })
    const withdrawn = JSON.stringify({ ...record, id: "GHSA-2", withdrawn: "2024-01-01T00:00:00Z" })
    writeFileSync(join(root, "osv/2024/two.json"), withdrawn)
    const advisories = await advisoriesIn(join(root, "osv"), root)
    mkdirSync(join(root, "scripts"))
    writeFileSync(
      join(root, "scripts/advisories.json"),
      JSON.stringify({ asked: "2026-01-01", source: "", packages: ["wrap"], advisories, accepted }),
    )
    return checkAdvisories(root).map(({ message }) => message)
  }
  assert.deepEqual(await told("7.0.4"), ["wrap 7.0.4: it breaks (GHSA-1)"])
  assert.deepEqual(await told("5.9.0"), ["wrap 5.9.0: it breaks (GHSA-1)"])
  for (const version of ["5.9.1", "6.9.0", "7.0.5", "8.0.0"]) assert.deepEqual(await told(version), [])
  const accepted = [{ id: "GHSA-1", why: "nobody calls it" }]
  assert.deepEqual(await told("7.0.4", accepted), [])
  assert.equal((await told("7.0.5", accepted)).length, 1, "what is accepted for nothing is told")
})

/** A checkout whose lock file has `wrap` in that version, and records of OSV about it, in a git repository. */
function locked(t: TestContext, version: string, affected: readonly object[]) {
  const record = { id: "GHSA-3", summary: "it breaks", affected }
  const root = house(t, {
    "package-lock.json": JSON.stringify({
      packages: { "node_modules/wrap": { version }, "node_modules/more": { version } },
    }),
    "scripts/advisories.json": "{}",
    "source/advisories/github-reviewed/2026/a.json": JSON.stringify(record),
    "source/advisories/unreviewed/2026/b.json": JSON.stringify({ ...record, id: "GHSA-4" }),
  })
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", join(root, "source"), "-c", "user.name=a", "-c", "user.email=a@b", ...args], {
      stdio: "ignore",
    })
  git("init")
  git("add", ".")
  git("commit", "-m", "all")
  git("config", "uploadpack.allowFilter", "true")
  const empty = { asked: "2026-01-01", source: `file://${root}/source`, packages: [], advisories: [], accepted: [] }
  writeFileSync(join(root, "scripts/advisories.json"), JSON.stringify(empty))
  return root
}

test("one command fetches what is known, and the check tells how old that is and what was not asked for", async (t) => {
  const events = [{ introduced: "1.0.0" }, { fixed: "1.2.0" }, { introduced: "2.0.0" }, { fixed: "2.0.5" }]
  const wrap = { ecosystem: "npm", name: "wrap" }
  const affected = [
    { package: wrap, ranges: [{ type: "SEMVER", events }] },
    { package: wrap, ranges: [{ type: "GIT", events: [{ introduced: "0" }] }], versions: ["9.9.9"] },
  ]
  const found = async (version: string) => {
    const root = locked(t, version, affected)
    assert.deepEqual(checkAdvisories(root), [])
    await updateAdvisories(root, join(root, "source/advisories/github-reviewed"))
    return checkAdvisories(root).map(({ message }) => message)
  }
  for (const version of ["1.0.0", "1.1.9", "2.0.0", "2.0.4", "9.9.9"])
    assert.deepEqual(await found(version), [`wrap ${version}: it breaks (GHSA-3)`])
  for (const version of ["0.9.0", "1.2.0", "1.9.9", "2.0.5", "3.0.0"]) assert.deepEqual(await found(version), [])
  const root = locked(t, "1.0.0", affected)
  const at = Date.parse("2026-01-31")
  assert.match(
    ageOfAdvisories(root, at),
    /^0 advisories, .* 2026-01-01 \(30 days ago\) about 0 of 2 packages: .*npm run advisories/,
  )
  await updateAdvisories(root)
  const now = Date.now()
  assert.match(ageOfAdvisories(root, now), /^1 advisories, .* \(0 days ago\) about 2 of 2 packages$/)
  assert.match(ageOfAdvisories(root, now + 61 * 86_400_000), /\(61 days ago\).*npm run advisories/)
  await assert.rejects(updateAdvisories(root, join(root, "packages")), /is it a folder of OSV files/)
  assert.equal(checkAdvisories(root).length, 1, "what was known is kept")
})
