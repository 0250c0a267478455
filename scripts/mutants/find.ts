/** Finds the security checks of a source that can be taken out, one at a time. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import type { Area } from "./areas.ts"

/** A check that is taken out: the text from `start` to `end` becomes `replace`. */
export interface Mutant {
  readonly area: Area
  readonly file: string
  readonly line: number
  readonly start: number
  readonly end: number
  readonly replace: string
  /** The text that goes, on one line. */
  readonly text: string
  /** The whole of the line on which it begins. */
  readonly code: string
}

/**
 * Conditions of `if` statements that end in a throw, a return or a refusal become false, and those of `? :` with nothing on one
 * side give the other; each part of a conjunction or of a disjunction that decides something is left out; each item that is
 * hashed or authenticated with others is left out; and what the area names beside these is changed as it says.
 */
export function mutantsOf(root: string, area: Area, file: string): Mutant[] {
  const source = readFileSync(join(root, file), "utf8")
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true)
  const mutants: Mutant[] = []
  const lines = source.split("\n").map((line) => line.trim())
  const add = (node: ts.Node, replace: string) => {
    const [start, end] = [node.getStart(), node.getEnd()]
    const line = tree.getLineAndCharacterOfPosition(start).line + 1
    const text = source.slice(start, end).replaceAll(/\s+/g, " ")
    mutants.push({ area, file, line, start, end, replace, text, code: lines[line - 1]! })
  }
  const parts = (node: ts.Expression): void => {
    if (ts.isParenthesizedExpression(node)) parts(node.expression)
    // what is left out of `!( … )` leaves it as it leaves any other: the neutral value is that of its own operator
    if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken) parts(node.operand)
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
  const choice = ({ condition, whenTrue, whenFalse }: ts.ConditionalExpression): void => {
    if (!isNothing(whenTrue) && !isNothing(whenFalse)) return
    add(condition, String(isNothing(whenFalse)))
    parts(condition)
  }
  const visit = (node: ts.Node): void => {
    if (ts.isConditionalExpression(node)) choice(node)
    if (ts.isIfStatement(node) && isGuard(node.thenStatement)) {
      add(node.expression, "false")
      parts(node.expression)
    } else if (ts.isReturnStatement(node) && node.expression) parts(node.expression)
    else if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) parts(node.body)
    else if (ts.isVariableDeclaration(node) && node.initializer && /^(is|has|fits|right)/.test(node.name.getText()))
      parts(node.initializer)
    else if (ts.isCallExpression(node) && /^(concat|encodeCbor)$/.test(node.expression.getText())) {
      const [first] = node.arguments
      const items = first && ts.isArrayLiteralExpression(first) ? first.elements : node.arguments
      if (items.length > 1)
        for (const item of items)
          if (!ts.isLiteralExpression(item) && item.getText() !== "null") add(item, emptyFor(node))
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  for (const { text, replace } of area.changes?.filter((change) => change.file === file) ?? []) {
    const start = source.indexOf(text)
    assert(start >= 0, `${file} has no ${text}`)
    const line = tree.getLineAndCharacterOfPosition(start).line + 1
    mutants.push({ area, file, line, start, end: start + text.length, replace, text, code: lines[line - 1]! })
  }
  return mutants
}

function isNothing(node: ts.Expression): boolean {
  return /^(undefined|true|false|null|\[\]|"")$/.test(node.getText())
}

function emptyFor(call: ts.CallExpression): string {
  return call.expression.getText() === "concat" ? "new Uint8Array()" : "null"
}

/** What a condition stands before when it refuses something. */
function isGuard(then: ts.Statement): boolean {
  const last = ts.isBlock(then) ? then.statements.at(-1) : then
  return last !== undefined && (ts.isThrowStatement(last) || ts.isReturnStatement(last) || ts.isContinueStatement(last))
}
