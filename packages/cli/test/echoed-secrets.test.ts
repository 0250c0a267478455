/** Every argument and every option of every command, as they are declared, given a secret: nothing that is printed holds it. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { after, before, test } from "node:test"
import { encodeCap } from "@holdfast/protocol"
import type { Command } from "commander"
import { commands } from "../src/command-table.ts"
import { createContext } from "../src/context.ts"
import { variableOf } from "../src/defaults.ts"
import { reportError } from "../src/exit-codes.ts"
import { allCommands, buildProgram, runProgram } from "../src/program.ts"

const home = fs.mkdtempSync(join(tmpdir(), "holdfast-echoed-"))
const cwd = process.cwd()
const foreign = encodeCap({ kind: "dw", seed: new Uint8Array(32).fill(7) })
const ended = new Error("the command has ended the process")
let own: string

/** Those that would go on for ever run where they can make nothing; `maintain` goes round once. */
const daemons = new Set(["up", "coordinator run", "node run", "supervise"])
/** They print the capability of what they are asked for. */
const telling = new Set(["cap"])

before(async () => {
  process.chdir(home)
  fs.writeFileSync("text", "text")
  const places = ["a", "b", "c"].map((name) => `dir:${join(home, name)}`)
  await run(["volume", "create", "disks", "--coding", "1/2/3", "--backend", ...places])
  await run(["put", "text", "disks:"])
  await run(["cap", "disks:", "--out", "own.cap"])
  own = fs.readFileSync("own.cap", "utf8").trim()
})
after(() => {
  process.chdir(cwd)
  fs.rmSync(home, { recursive: true, force: true })
})

/** Runs a command in this process as the executable does; gives what it wrote. */
async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  let said = ""
  const stream = {
    write: (text: string | Uint8Array, done?: () => void) => {
      said += text.toString()
      done?.()
      return true
    },
  }
  const surroundings = {
    ...{ stdin: Readable.from([]), stdout: stream, stderr: stream, on: () => undefined },
    env: { PATH: process.env["PATH"], HOME: home, HOLDFAST_ALLOW_SECRETS_IN_ARGV: "1", ...env },
  }
  Object.assign(process.env, env) // options take theirs from there
  const context = createContext(surroundings as unknown as NodeJS.Process, args)
  const { exit } = process
  process.exit = () => {
    throw ended // what a shell waits for ends by itself
  }
  try {
    await runProgram(args, context, commands)
  } catch (error) {
    if (error !== ended) reportError(context, error)
  } finally {
    process.exit = exit
  }
  await context.close().catch((error) => reportError(context, error))
  for (const name of Object.keys(env)) delete process.env[name]
  process.exitCode = 0
  return said
}

interface Position {
  readonly words: readonly string[]
  readonly args: (secret: string) => string[]
  /** Instead of an argument. */
  readonly variable?: string
  readonly isOption?: boolean
}

function wordsOf(command: Command): string[] {
  return command.parent ? [...wordsOf(command.parent), command.name()] : []
}

function* positionsOf(command: Command): Generator<Position> {
  const words = wordsOf(command)
  const plain = command.registeredArguments.filter(({ required }) => required).map((one) => placeholder(one.name()))
  const asks = (long = "") =>
    long.endsWith("passphrase-file") || long === "--invite-file" || (words[0] === "alias" && long === "--cap-file")
  const needed = command.options.flatMap(({ long, mandatory, required }) =>
    mandatory || asks(long) ? [long!, ...(required ? ["nowhere"] : [])] : long === "--once" ? [long] : [],
  )
  const given = [...words, ...needed]
  for (const [i] of command.registeredArguments.entries())
    yield { words, args: (secret) => [...given, ...plain.slice(0, i), secret, ...plain.slice(i + 1)] }
  yield { words, args: (secret) => [...given, ...plain, secret] }
  yield { words, args: (secret) => [...given, ...plain, `--nonsense=${secret}`] }
  for (const option of command.options) {
    const withoutIt = needed.filter((_, at) => needed[at] !== option.long && needed[at - 1] !== option.long)
    yield { words, args: (secret) => [...words, ...withoutIt, `${option.long}=${secret}`, ...plain], isOption: true }
    if (option.required)
      yield { words, args: () => [...words, ...withoutIt, ...plain], variable: variableOf(option, words) }
  }
}

function placeholder(name: string): string {
  return { path: "disks:text", paths: "disks:text", tree: "disks:", before: "disks:", after: "disks:" }[name] ?? "disks"
}

const leaves = allCommands(await buildProgram(createContext(process, []), commands, () => true)).filter(
  (command) => command.commands.length === 0,
)

/** What a program asked for with --json is exact; errors are for people, whoever reads them first. */
function isResult(said: string): boolean {
  try {
    const value: unknown = JSON.parse(said)
    return !(typeof value === "object" && value !== null && "error" in value)
  } catch {
    return false
  }
}

test("no argument, option or variable of any command echoes a capability, but in results with --json", async () => {
  let tried = 0
  // Of a tree that is here, or a part of something else.
  const spelled = [own, `@file:${foreign}`, `disks:${foreign}/x`, `dir:${foreign}`, foreign.slice("hf:dw:".length)]
  for (const command of leaves)
    for (const { words, args, variable, isOption } of positionsOf(command)) {
      process.chdir(daemons.has(words.join(" ")) ? "/proc" : home)
      for (const secret of variable || isOption ? [foreign] : [foreign, spelled[tried % spelled.length]!]) {
        const typed = [...args(secret), ...(tried++ % 3 === 0 ? ["--json"] : ["--verbose"])]
        const said = await run(typed, variable ? { [variable]: secret } : {})
        const shown = typed.join(" ").replaceAll(secret, "SECRET")
        for (const cap of telling.has(words[0]!) ? [foreign] : [foreign, own])
          if (said.toLowerCase().includes(cap.slice(12, 24)))
            assert.ok(isResult(said), `${variable ?? ""} ${shown}: ${said}`)
      }
    }
  assert.ok(tried > 500, `${tried}`)
})
