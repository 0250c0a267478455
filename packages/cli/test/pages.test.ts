import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { type ErrorCode, HoldfastError } from "@holdfast/core"
import { commandPage, makeCommandPage, pathOf, wholeProgram } from "../../../scripts/make-command-page.ts"
import { exitCodeOf, exitCodes } from "../src/exit-codes.ts"
import { allCommands } from "../src/program.ts"

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8")

test("docs/errors.md has every error code once, with the exit code that the command gives it", () => {
  const union = /export type ErrorCode =([\s\S]*?)\n\n/.exec(read("packages/core/src/errors.ts"))![1]!
  const codes = [...union.matchAll(/"(ERR_[A-Z_]+)"/g)].map(([, code]) => code as ErrorCode)
  assert.ok(codes.length > 30)
  const rows = [...read("docs/errors.md").matchAll(/^\| `(ERR_[A-Z_]+)` \| (\d) \| (.+) \| (.+) \| (.+) \|$/gm)]
  assert.deepEqual(
    Object.fromEntries(rows.map(([, code, exitCode]) => [code, Number(exitCode)])),
    Object.fromEntries(codes.map((code) => [code, exitCodeOf(new HoldfastError(code, ""))])),
  )
  assert.equal(rows.length, codes.length)
})

test("docs/errors.md has every exit code", () => {
  const rows = [...read("docs/errors.md").matchAll(/^\| (\d) +\| /gm)].map(([, exitCode]) => Number(exitCode))
  assert.deepEqual(rows, Object.values(exitCodes))
})

test("docs/guides/command-line.md says what the command's help says", async () => {
  assert.equal(
    readFileSync(commandPage, "utf8"),
    await makeCommandPage(),
    "write it anew: node scripts/make-command-page.ts",
  )
})

test("each command and option is described, and has an example that names existing commands and options", async () => {
  const page = readFileSync(commandPage, "utf8")
  const program = await wholeProgram()
  const all = allCommands(program).filter((command) => command.name() !== "help")
  assert.ok(all.length > 30)
  for (const command of all) {
    assert.ok(command.description() !== "", `${command.name()} has no description`)
    for (const option of command.options) assert.ok(option.description !== "", `${command.name()} ${option.flags}`)
    if (command.commands.length === 0)
      assert.match(page, new RegExp(`^(?:.*[|"(] ?)?\\$?\\(?holdfast ${pathOf(command)}\\b`, "m"))
  }
  const names = new Set(program.commands.map((command) => command.name()))
  for (const place of [
    "README.md",
    "docs/guides/command-line.md",
    "docs/guides/operate.md",
    "docs/guides/three-machines.md",
  ])
    for (const [line, name] of read(place).matchAll(/\bholdfast ([a-z]+)\b(?!:)[^`\n]*/g)) {
      if (!names.has(name!)) assert.ok(/^holdfast (says|in|is|that|does)\b/.test(line), `${place}: ${line}`)
      const command = program.commands.find((candidate) => candidate.name() === name)
      if (!command) continue
      const known = [program, command, ...allCommands(command as typeof program)].flatMap(({ options }) =>
        options.map(({ long }) => long),
      )
      for (const [option] of line.replace(/ #.*/, "").matchAll(/(?<= )--[a-z-]+/g))
        assert.ok([...known, "--help"].includes(option), `${place}: ${line}`)
    }
})
