/** `holdfast seen`: what this profile remembers of registers, so that no server can show it an older or another history. */
import { type Profile, unknownAlias } from "@holdfast/client/profile"
import { isoTime, shownJson, toHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { decodeCap, registerIdOf, toReadCap } from "@holdfast/protocol"
import type { Seen } from "@holdfast/store"
import type { Command } from "commander"
import { confirm, isAsking } from "../../confirm.ts"
import type { Context } from "../../context.ts"
import { readJsonInput } from "../../input.ts"
import { plural } from "../../words.ts"

/** Adds the command. */
export function register(program: Command, context: Context): void {
  const seen = program
    .command("seen")
    .description("list which versions of trees were seen here, carry that to your other devices, or forget it")
  seen.addHelpText(
    "after",
    `
A device refuses versions older than those it has seen, and other histories than the one it has seen (a fork). Carry what
one device has seen to another, and both refuse it. What is exported is no secret: version numbers and signed ciphertext.

Examples:
  holdfast seen list
  holdfast seen export > seen.json
  holdfast seen import --file seen.json
  holdfast seen forget photos    after the servers were restored from an old copy: go on from what they have
`,
  )
  seen
    .command("list")
    .description("show which versions were seen, and where you went on without proof (--accept-history)")
    .action(async () => {
      const lines = await listSeen(await context.openProfile())
      const text = lines.length === 0 ? "Nothing was seen yet." : lines.flatMap(textOf)
      context.output(lines, text)
    })
  seen
    .command("export")
    .description("print what was seen, for another device to import")
    .action(async () => {
      const exported = await (await context.openProfile()).exportSeen()
      context.outputExact(exported, shownJson(exported, 1))
    })
  seen
    .command("import")
    .description(
      "take over what another device has seen, from a file or standard input; tells when they saw different histories",
    )
    .option("--file <file>", "the file; - or nothing is standard input")
    .action(async ({ file = "-" }: { file?: string }) => {
      const profile = await context.openProfile()
      const exported = await readJsonInput(context, file, "what `holdfast seen export` prints")
      const registers = await profile.importSeen(exported)
      const what = plural(registers, "tree or file", "trees and files")
      context.output({ registers }, `${what}: the newest version that either device has seen counts from now on.`)
    })
  seen
    .command("forget")
    .description("forget what was seen of a tree: what its servers offer next is taken as it is")
    .argument("<alias>", "an alias, or a register's id as errors name it")
    .option("--yes", "do not ask, as without a terminal")
    .action(async (name: string, { yes = false }: { yes?: boolean }) => {
      const profile = await context.openProfile()
      const register = await registerOf(profile, name)
      if (!yes && isAsking(context))
        await confirm(context, {
          warning: `The next version of ${name} that servers offer is taken for the newest then, also one that is older than what you have seen.`,
          question: "Forget what was seen?",
          insteadOfAsking: "To do so unasked: --yes",
          refusal: "Nothing was forgotten.",
        })
      const forgotten = await profile.forgetSeen(register)
      const text = forgotten ? "is forgotten: the next version that servers offer counts" : "was never seen here"
      context.output({ register, forgotten }, `${name} ${text}.`)
    })
}

/** What was seen of one register. */
interface SeenLine extends Seen {
  readonly register: string
  /** The alias of its tree, if there is one. */
  readonly alias?: string
}

async function listSeen(profile: Profile): Promise<Omit<SeenLine, "stable" | "others">[]> {
  const aliases = new Map<string, string>()
  for (const alias of profile.aliases.keys()) {
    const register = await registerOf(profile, alias).catch(() => undefined)
    if (register !== undefined) aliases.set(register, alias)
  }
  const lines = (await profile.listSeen()).map(async (register) => {
    const { stable: _, others = [], ...seen } = (await profile.seen.get(register))!
    const alias = aliases.get(register)
    return { register, ...seen, unproven: others.length, ...(alias !== undefined && { alias }) }
  })
  return Promise.all(lines)
}

function textOf({ register, alias, epoch, sequence, accepted = [] }: Omit<SeenLine, "stable" | "others">): string[] {
  const where = alias === undefined ? register : `${alias}:`
  const steps = accepted.map(
    ({ timeMs, from, to }) =>
      `  ${isoTime(timeMs)} went on from version ${from.sequence} (${from.hash.slice(0, 16)}) to version ${to.sequence} (${to.hash.slice(0, 16)}) without proof`,
  )
  return [`${where} version ${sequence}${epoch ? ` of epoch ${epoch}` : ""}`, ...steps]
}

async function registerOf(profile: Profile, given: string): Promise<string> {
  if (/^[0-9a-f]{64}$/.test(given)) return given
  const alias = given.replace(/:$/, "")
  const text = profile.aliases.get(alias)
  if (text === undefined) throw unknownAlias(alias, [...profile.aliases.keys()])
  const cap = decodeCap(text)
  if (cap.kind === "dw" || cap.kind === "fw") return toHex(registerIdOf((await toReadCap(nodeCrypto, cap)).publicKey))
  if (!("publicKey" in cap)) throw unknownAlias(alias, []) // what never changes has no register
  return toHex(registerIdOf(cap.publicKey))
}
