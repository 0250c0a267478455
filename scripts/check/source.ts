/** Reads the packages' sources and takes out of each file what the checks look at: its imports and its identifiers. */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join, relative, sep } from "node:path"
import ts from "typescript"

/** Something that breaks a rule of the house. */
export interface Violation {
  /** Path from the root of the checkout, with the line where that is known. */
  readonly where: string
  readonly rule: string
  readonly message: string
}

/** A module specifier as it stands in a file. */
export interface Import {
  readonly specifier: string
  readonly line: number
  /** True for `import type`, which leaves nothing at run time. */
  readonly typeOnly: boolean
}

/** A parsed source file. */
export interface SourceFile {
  /** From the root of the checkout, with forward slashes. */
  readonly path: string
  readonly text: string
  readonly ast: ts.SourceFile
  readonly imports: readonly Import[]
}

/** Paths of all files below `folder` (given from `root`) that end so; nothing when the folder does not exist. */
export function listFiles(root: string, folder: string, suffix = ""): string[] {
  const found: string[] = []
  const visit = (path: string) => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.name === "node_modules" || entry.name === "dist" || entry.name === ".git") continue
      const child = join(path, entry.name)
      if (entry.isDirectory()) visit(child)
      else if (entry.name.endsWith(suffix)) found.push(relative(root, child).split(sep).join("/"))
    }
  }
  const start = join(root, folder)
  if (statSync(start, { throwIfNoEntry: false })?.isDirectory()) visit(start)
  return found.sort()
}

/** Parses the TypeScript file at `path`. */
export function parseSource(root: string, path: string): SourceFile {
  const text = readFileSync(join(root, path), "utf8")
  const ast = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  return { path, text, ast, imports: importsOf(ast) }
}

/** Calls `visitor` with each node of the file, parents first. */
export function walk(node: ts.Node, visitor: (node: ts.Node) => void): void {
  visitor(node)
  ts.forEachChild(node, (child) => walk(child, visitor))
}

/** The 1-based line of a node. */
export function lineOf(file: ts.SourceFile, node: ts.Node): number {
  return file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1
}

function importsOf(ast: ts.SourceFile): Import[] {
  const imports: Import[] = []
  const add = (at: ts.Node, specifier: ts.Node | undefined, typeOnly: boolean) => {
    if (specifier && ts.isStringLiteralLike(specifier))
      imports.push({ specifier: specifier.text, line: lineOf(ast, at), typeOnly })
  }
  walk(ast, (node) => {
    if (ts.isImportDeclaration(node)) add(node, node.moduleSpecifier, isTypeOnly(node.importClause))
    else if (ts.isExportDeclaration(node)) add(node, node.moduleSpecifier, node.isTypeOnly)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
      add(node, node.arguments[0], false)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node, node.argument.literal, true)
  })
  return imports
}

function isTypeOnly(clause: ts.ImportClause | undefined): boolean {
  return clause?.phaseModifier === ts.SyntaxKind.TypeKeyword
}
