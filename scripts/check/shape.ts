/** The shape of code that no formatter sees: functions too long to be read at once, comments too wide, exports that nobody uses. */
import ts from "typescript"
import { lineOf, listFiles, parseSource, type SourceFile, type Violation, walk } from "./source.ts"

/** Most lines of a function. Those inside it count for themselves: a factory of closures is a class by another name. */
const maxFunctionLines = 70
/** Code has 120 columns; sentences may go a little further. */
const maxCommentColumns = 140
/** Where code lies that may use what packages export. */
const folders = ["packages", "bench", "e2e", "scripts", "interop"]

/** Every function, comment and export under `root` that is out of shape. */
export function checkShape(root: string): Violation[] {
  const files = folders
    .flatMap((folder) => listFiles(root, folder, ".ts"))
    .filter((path) => !path.endsWith(".generated.ts"))
    .map((path) => parseSource(root, path))
  return [
    ...files.filter(({ path }) => !isTest(path)).flatMap(checkFunctions),
    ...files.flatMap(checkWidths),
    ...checkExports(files),
  ]
}

function isTest(path: string): boolean {
  return /\/test\/|\/testing\/|\.test\.ts$/.test(path)
}

function checkFunctions({ path, ast }: SourceFile): Violation[] {
  const violations: Violation[] = []
  walk(ast, (node) => {
    if (!isFunction(node)) return
    const lines = ownLines(ast, node)
    if (lines <= maxFunctionLines) return
    const name = nameOf(node)
    const message = `${name} has ${lines} lines of its own; the most is ${maxFunctionLines}: split it`
    violations.push({ where: `${path}:${lineOf(ast, node)}`, rule: "function", message })
  })
  return violations
}

function isFunction(node: ts.Node): node is ts.FunctionLikeDeclaration {
  return ts.isFunctionLike(node) && "body" in node && node.body !== undefined
}

/** Lines from a function's head to its end, without those of functions inside it, and of texts, that have several. */
function ownLines(ast: ts.SourceFile, node: ts.Node): number {
  let inner = 0
  const visit = (child: ts.Node): void => {
    if (!isFunction(child) && !ts.isNoSubstitutionTemplateLiteral(child) && !ts.isTemplateExpression(child))
      ts.forEachChild(child, visit)
    else inner += Math.max(0, spanOf(ast, child) - 1) // its first line stands in ours
  }
  ts.forEachChild(node, visit)
  return spanOf(ast, node) - inner
}

function spanOf(ast: ts.SourceFile, node: ts.Node): number {
  return ast.getLineAndCharacterOfPosition(node.end).line - lineOf(ast, node) + 2
}

function nameOf(node: ts.FunctionLikeDeclaration): string {
  if (node.name) return node.name.getText()
  const { parent } = node
  return ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) ? parent.name.getText() : "a function"
}

function checkWidths({ path, text }: SourceFile): Violation[] {
  return text.split("\n").flatMap((line, index) => {
    if (line.length <= maxCommentColumns || !/^\s*(?:\/\/|\/?\*)/.test(line)) return []
    const message = `a comment has ${line.length} columns; the most is ${maxCommentColumns}`
    return [{ where: `${path}:${index + 1}`, rule: "comment-width", message }]
  })
}

/** Functions, classes and values that packages' sources export and no other file names; types are there for whoever needs them. */
function checkExports(files: readonly SourceFile[]): Violation[] {
  const namedBy = new Map<string, Set<string>>() // files by identifier
  for (const { path, ast } of files)
    walk(ast, (node) => {
      if (!ts.isIdentifier(node) || isReexport(node)) return
      const known = namedBy.get(node.text)
      if (known) known.add(path)
      else namedBy.set(node.text, new Set([path]))
    })
  return files
    .filter(({ path }) => /^packages\/[^/]+\/src\/(?!(?:.*\/)?index\.ts$)/.test(path))
    .flatMap(({ path, ast }) =>
      ast.statements.flatMap((statement) =>
        exportedNames(statement)
          .filter((name) => [...(namedBy.get(name) ?? [])].every((user) => user === path))
          .map((name) => ({
            where: `${path}:${lineOf(ast, statement)}`,
            rule: "dead-export",
            message: `${name} is exported and no other file uses it`,
          })),
      ),
    )
}

/** A door that only passes a name on does not use it. */
function isReexport(node: ts.Identifier): boolean {
  return ts.isExportSpecifier(node.parent)
}

function exportedNames(statement: ts.Statement): string[] {
  if (!ts.canHaveModifiers(statement)) return []
  if (!ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return []
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.flatMap(({ name }) => (ts.isIdentifier(name) ? [name.text] : []))
  const isValue = ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)
  return isValue && statement.name ? [statement.name.text] : []
}
