/**
 * Proves that the tests see it when a security check is missing: takes one check after another out of a copy of the sources
 * and runs the unit tests that should fail then. Prints the checks that no test missed; exits with 1 when there is one that
 * `mutants.json` does not explain. `npm run mutants [-- --only WORDS --sample N --seed S --list]`; docs/contributing.md.
 */
import { spawnSync } from "node:child_process"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { parseArgs } from "node:util"
import ts from "typescript"
import { randomFrom } from "../e2e/random.ts"
import { copySources } from "./copy-sources.ts"
import { type Area, areas } from "./mutants-areas.ts"

const root = dirname(import.meta.dirname)

/** A check that is taken out: the text from `start` to `end` becomes `replace`. */
interface Mutant {
  readonly area: Area
  readonly file: string
  readonly line: number
  readonly start: number
  readonly end: number
  readonly replace: string
  /** The text that goes, on one line. */
  readonly text: string
}

/** A survivor that is right to survive. */
interface Explained {
  readonly file: string
  readonly text: string
  readonly why: string
}

const { values } = parseArgs({
  options: {
    /** Files whose path has these words. */
    only: { type: "string", default: "" },
    /** So many, chosen by the seed; all when absent. */
    sample: { type: "string" },
    seed: { type: "string", default: "1" },
    list: { type: "boolean", default: false },
  },
})

process.exitCode = main()

function main(): number {
  const explained: Explained[] = JSON.parse(readFileSync(join(root, "scripts/mutants.json"), "utf8"))
  const all = areas.flatMap((area) => area.files.flatMap((file) => mutantsOf(area, file)))
  const chosen = sample(all.filter(({ file }) => file.includes(values.only)))
  if (values.list) {
    for (const mutant of chosen) console.log(nameOf(mutant))
    return 0
  }
  const isOurs = (path: string) => !path.slice(root.length).includes("node_modules")
  const copy = copySources(root, ["packages", "interop", "scripts", "docs", "package.json", "tsconfig.json"], isOurs)
  const survivors: Mutant[] = []
  try {
    for (const [i, mutant] of chosen.entries()) {
      const killer = tryMutant(copy, mutant)
      console.log(`${i + 1}/${chosen.length} ${nameOf(mutant)}: ${killer ? `seen by ${killer}` : "NOT SEEN"}`)
      if (!killer) survivors.push(mutant)
    }
  } finally {
    rmSync(copy, { recursive: true })
  }
  const isExplained = ({ file, text }: Mutant) => explained.some((one) => one.file === file && one.text === text)
  const open = survivors.filter((mutant) => !isExplained(mutant))
  console.log(
    `\n${chosen.length - survivors.length} of ${chosen.length} seen, ${survivors.length - open.length} explained.`,
  )
  for (const mutant of open) console.log(`No test misses ${nameOf(mutant)}`)
  return open.length === 0 ? 0 : 1
}

/**
 * Conditions of `if` statements that end in a throw, a return or a refusal become false; each part of a conjunction or of a
 * disjunction that decides something is left out; each item that is hashed or authenticated with others is left out.
 */
function mutantsOf(area: Area, file: string): Mutant[] {
  const source = readFileSync(join(root, file), "utf8")
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true)
  const mutants: Mutant[] = []
  const add = (node: ts.Node, replace: string) => {
    const [start, end] = [node.getStart(), node.getEnd()]
    const line = tree.getLineAndCharacterOfPosition(start).line + 1
    mutants.push({ area, file, line, start, end, replace, text: source.slice(start, end).replaceAll(/\s+/g, " ") })
  }
  const parts = (node: ts.Expression): void => {
    if (ts.isParenthesizedExpression(node)) parts(node.expression)
    if (!ts.isBinaryExpression(node)) return
    const kind = node.operatorToken.kind
    if (kind !== ts.SyntaxKind.AmpersandAmpersandToken && kind !== ts.SyntaxKind.BarBarToken) return
    const neutral = kind === ts.SyntaxKind.BarBarToken ? "false" : "true"
    for (const side of [node.left, node.right]) {
      const inner = ts.isParenthesizedExpression(side) ? side.expression : side
      const isSame = ts.isBinaryExpression(inner) && inner.operatorToken.kind === kind
      if (!isSame) add(side, neutral)
      parts(side)
    }
  }
  const visit = (node: ts.Node): void => {
    if (ts.isIfStatement(node) && isGuard(node.thenStatement)) {
      add(node.expression, "false")
      parts(node.expression)
    } else if (ts.isReturnStatement(node) && node.expression) parts(node.expression)
    else if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) parts(node.body)
    else if (ts.isCallExpression(node) && /^(concat|encodeCbor)$/.test(node.expression.getText())) {
      const [first] = node.arguments
      const items = first && ts.isArrayLiteralExpression(first) ? first.elements : node.arguments
      if (items.length > 1) for (const item of items) if (!ts.isStringLiteral(item)) add(item, emptyFor(node))
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return mutants
}

function emptyFor(call: ts.CallExpression): string {
  return call.expression.getText() === "concat" ? "new Uint8Array()" : "null"
}

/** What a condition stands before when it refuses something. */
function isGuard(then: ts.Statement): boolean {
  const last = ts.isBlock(then) ? then.statements.at(-1) : then
  return last !== undefined && (ts.isThrowStatement(last) || ts.isReturnStatement(last) || ts.isContinueStatement(last))
}

/** The first of the area's tests that fails with the mutant; undefined when none does. */
function tryMutant(copy: string, { area, file, start, end, replace }: Mutant): string | undefined {
  const path = join(copy, file)
  const source = readFileSync(path, "utf8")
  writeFileSync(path, source.slice(0, start) + replace + source.slice(end))
  try {
    return area.tests.find((test) => fails(copy, test))
  } finally {
    writeFileSync(path, source)
  }
}

function fails(copy: string, test: string): boolean {
  const args = ["--test", "--test-force-exit", "--test-timeout=120000", test]
  const { status } = spawnSync("node", args, { cwd: copy, timeout: 300_000, killSignal: "SIGKILL", stdio: "ignore" })
  return status !== 0
}

/** A choice that the seed repeats. */
function sample(mutants: readonly Mutant[]): readonly Mutant[] {
  if (values.sample === undefined) return mutants
  const random = randomFrom(Number(values.seed))
  return mutants
    .map((mutant) => ({ mutant, at: random(2 ** 32) }))
    .sort((a, b) => a.at - b.at)
    .slice(0, Number(values.sample))
    .map(({ mutant }) => mutant)
}

function nameOf({ file, line, text }: Mutant): string {
  return `${file}:${line} ${text.slice(0, 100)}`
}
