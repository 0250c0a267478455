/** Manual pages in roff, made from the command's own help: one of the whole, one of each command. */
import type { Command, Help, Option } from "commander"
import { version } from "../../packages/cli/src/version.ts"
import { examplesOf, wholeProgram } from "../make-command-page.ts"

/** The text of each page by its file's name, as `holdfast-put.1`. */
export async function manPages(): Promise<ReadonlyMap<string, string>> {
  const program = await wholeProgram()
  const pages = new Map([["holdfast.1", overview(program)]])
  for (const command of program.commands) pages.set(`${nameOf(command)}.1`, pageOf(command))
  return pages
}

/** As its page is called: `holdfast-put`. */
function nameOf(command: Command): string {
  return command.parent ? `${nameOf(command.parent as Command)}-${command.name()}` : command.name()
}

function overview(program: Command): string {
  const help = program.createHelp()
  const commands = program.commands.map((command) =>
    item(`holdfast\\-${roff(command.name())}(1)`, command.summary() || command.description()),
  )
  return [
    head(program, program.description()),
    section("SYNOPSIS", `.B holdfast\n[options] command [arguments]`),
    section("COMMANDS", commands.join("\n")),
    section("OPTIONS", options(help, program)),
    section(
      "FILES",
      item("~/.config/holdfast/", "profiles, with the keys of their owner") +
        `\n${item("~/.config/holdfast/defaults", "variables that stand for flags, as HOLDFAST_VOLUME=photos")}`,
    ),
    section(
      "EXIT STATUS",
      `${paragraph("0 when all went well; else what docs/errors.md says for each kind of failure.")}`,
    ),
  ].join("\n")
}

function pageOf(command: Command): string {
  const help = command.createHelp()
  const children = help.visibleCommands(command).filter((child) => child.name() !== "help") as Command[]
  const parts = [
    head(command, command.summary() || command.description()),
    section(
      "SYNOPSIS",
      (children.length > 0 ? children : [command])
        .map((one) => `.B ${roff(wordsOf(one))}\n${roff(one.usage())}`)
        .join("\n.br\n"),
    ),
    section("DESCRIPTION", paragraph(command.description())),
    ...(children.length > 0 ? children : [command]).map((one) => described(one, children.length > 0)),
    examples(command),
    section("SEE ALSO", ".BR holdfast (1)"),
  ]
  return parts.filter((part) => part !== "").join("\n")
}

/** Arguments and options of one command, under its own words where there are several. */
function described(command: Command, isChild: boolean): string {
  const help = command.createHelp()
  const args = help
    .visibleArguments(command)
    .map((one) => item(roff(help.argumentTerm(one)), help.argumentDescription(one)))
  const body = [isChild ? paragraph(command.description()) : "", ...args, options(help, command)]
    .filter(Boolean)
    .join("\n")
  return body === "" ? "" : section(isChild ? wordsOf(command).toUpperCase() : "OPTIONS", body)
}

function examples(command: Command): string {
  const lines = examplesOf(command)?.split("\n") ?? []
  return lines.length === 0 ? "" : section("EXAMPLES", `.nf\n${lines.map((line) => roff(line)).join("\n")}\n.fi`)
}

function options(help: Help, command: Command): string {
  return help
    .visibleOptions(command)
    .map((option: Option) => item(roff(help.optionTerm(option)), help.optionDescription(option)))
    .join("\n")
}

function wordsOf(command: Command): string {
  return command.parent ? `${wordsOf(command.parent as Command)} ${command.name()}` : command.name()
}

function head(command: Command, what: string): string {
  const name = nameOf(command)
  return `.TH "${roff(name.toUpperCase())}" "1" "" "Holdfast ${version}" "Holdfast"\n${section("NAME", `${roff(name)} \\- ${roff(what.split("\n")[0]!)}`)}`
}

function section(title: string, body: string): string {
  return `.SH "${roff(title)}"\n${body}`
}

function item(term: string, text: string): string {
  return `.TP\n\\fB${term}\\fR\n${roff(text)}`
}

function paragraph(text: string): string {
  return `.PP\n${roff(text)}`
}

/** Text of which roff makes nothing else: hyphens that can be copied, no requests at the beginning of lines. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll('"', "\\(dq")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line))
    .join("\n")
    .replace(/[^\n -~]/gu, (letter) => `\\[u${letter.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}]`)
}
