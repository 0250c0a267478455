/** `holdfast coordinator run`, `node run`, `invite`, `join`: the parts of a grid on separate machines. */
import { join as joinPath } from "node:path"
import { pathsOf, profileDir } from "@holdfast/client/profile"
import { HoldfastError, isoTime } from "@holdfast/core"
import type { Joined, LogLevel } from "@holdfast/network"
import type { Command } from "commander"
import { confirm, isAsking } from "../../confirm.ts"
import type { Context } from "../../context.ts"
import { parseCoding } from "../../local-grid/config.ts"
import { registerAccounts } from "./accounts.ts"
import { type InviteFlags, invite } from "./invite.ts"
import { nodeWords, registerLabels } from "./node-labels.ts"
import { registerRoot } from "./root.ts"
import { wholeNumber } from "./whole-number.ts"

const inviteHelp = `
A tenant is a customer: its members share space and quota, see each other in the list of members, and read what somebody stored by
capability only. Invite a second device or a colleague into the same tenant, another customer into one of its own: --tenant NAME.
Without --tenant it is the only one there is, "default" on a new grid; with several you are asked to name one.

Roles are what the nodes allow whoever holds the certificate, capabilities aside: read gets shares and registers, append stores,
collect removes what this account no longer needs, repair puts back what is missing of others' trees. An auditor needs read and repair.

Examples:
  holdfast invite --dir /var/lib/holdfast/coordinator --role node --name n1
  holdfast invite --dir /var/lib/holdfast/coordinator --role node --name n2 --label site=work,rack=1
  holdfast invite --dir /var/lib/holdfast/coordinator --role node --name w1 --witness --label site=shed
  holdfast invite --dir /var/lib/holdfast/coordinator --tenant alice --name alice-laptop
  holdfast invite --dir /var/lib/holdfast/coordinator --tenant alice --append-only --name alice-backup
  holdfast invite --dir /var/lib/holdfast/coordinator --tenant alice --roles read,repair --name auditor
`

/** Adds the commands. */
export function register(program: Command, context: Context): void {
  const coordinator = program
    .command("coordinator")
    .description("run a grid's coordinator, list and revoke its members")
  registerCoordinator(coordinator, context)
  registerLabels(coordinator, context)
  registerRoot(coordinator, context)
  registerAccounts(coordinator, context)
  registerNode(program)
  registerJoining(program, context)
}

function registerCoordinator(coordinator: Command, context: Context): void {
  coordinator
    .command("run")
    .description("run the coordinator in the foreground; its authority is made at the first start")
    .requiredOption("--dir <folder>", "where it keeps its keys and members")
    .option("--listen <host:port>", "where it listens", "0.0.0.0:7443")
    .option("--advertise <host[:port]>", "how members reach it, when that differs")
    .option("--coding <k/happy/n>", "how data is spread", "3/4/5")
    .option("--register-mode <mode>", "crash (2f+1 servers) or byzantine (3f+1)", "crash")
    .option("--name <name>", "the grid's name", "grid")
    .option("--monitor <host:port>", "health and metrics (default: a free port of 127.0.0.1)")
    .option("--restored", "its folder is an older copy: make members that have seen newer descriptions go on")
    .option("--log-level <level>", "error, warn, info or debug", "info")
    .addHelpText(
      "after",
      "\nExample:\n  holdfast coordinator run --dir /var/lib/holdfast/coordinator --advertise coord.example.org:7443\n",
    )
    .action((flags: CoordinatorFlags) => runCoordinator(context, flags))
  coordinator
    .command("members")
    .description("list everybody who joined, and when their certificates end (on the coordinator's machine)")
    .requiredOption("--dir <folder>", "the coordinator's folder")
    .addHelpText("after", "\nExample:\n  holdfast coordinator members --dir /var/lib/holdfast/coordinator\n")
    .action((flags: { dir: string }) => members(context, flags.dir))
  coordinator
    .command("revoke")
    .description("shut a member out for ever (on the coordinator's machine)")
    .argument("<member>", "its name, or its id when several have that name")
    .requiredOption("--dir <folder>", "the coordinator's folder")
    .option("--yes", "do not ask, as without a terminal")
    .addHelpText("after", "\nExample:\n  holdfast coordinator revoke laptop --dir /var/lib/holdfast/coordinator\n")
    .action((member: string, flags: RevokeFlags) => revoke(context, member, flags))
}

function registerNode(program: Command): void {
  program
    .command("node")
    .description("run a storage node")
    .command("run")
    .description("run the node in the foreground; join first")
    .requiredOption("--dir <folder>", "where it keeps shares")
    .requiredOption("--identity <folder>", "the identity that `holdfast join` made")
    .option("--listen <host:port>", "where it listens", "0.0.0.0:7444")
    .option("--advertise <host:port>", "how clients reach it, when that differs")
    .option("--monitor <host:port>", "health and metrics (default: a free port of 127.0.0.1)")
    .option(
      "--administrator <tenant=key...>",
      "public keys, in hexadecimal, of who may list and drop a tenant's accounts, instead of whom the coordinator names",
    )
    .option("--quota <bytes>", "most bytes of each tenant, or none (default: half of the disk)")
    .option("--reserve <bytes>", "disk space to keep free")
    .option("--memory <bytes>", "memory for requests, at least 64 MiB (default: 512 MiB)")
    .option("--log-level <level>", "error, warn, info or debug", "info")
    .addHelpText(
      "after",
      "\nExample:\n  holdfast node run --identity /var/lib/holdfast/id --dir /srv/holdfast --advertise n1.example.org:7444\n",
    )
    .action((flags: NodeFlags) => runNode(flags))
}

function registerJoining(program: Command, context: Context): void {
  program
    .command("invite")
    .description("print an invitation for one new member (on the coordinator's machine)")
    .requiredOption("--dir <folder>", "the coordinator's folder")
    .option("--role <role>", "node or client", "client")
    .option("--tenant <name>", "whose data a client's is: of a customer that is there, or a new one of its own")
    .option(
      "--roles <roles>",
      "what a client may do: read, append, collect, repair, with commas between (default: all)",
    )
    .option("--reader", "the same as --roles read")
    .option("--append-only", "the same as --roles read,append: nothing that is stored can be taken away")
    .option(
      "--label <labels>",
      "what a node would be lost with: site=NAME, also provider= and rack=, with commas between",
    )
    .option("--witness", "a node that keeps roots of trees and no data: with one, two nodes survive one lost")
    .option("--name <name>", "the member's name")
    .option("--ttl <seconds>", "how long it is valid", "3600")
    .option("--out <file>", "a new file for it, readable by you only; without it, it is printed")
    .addHelpText("after", inviteHelp)
    .action((flags: InviteFlags) => invite(context, flags))
  program
    .command("join")
    .description("join a grid with an invitation, read from a file or standard input")
    .option("--invite-file <file>", "file that holds the invitation; - or nothing is standard input")
    .option(
      "--account <file>",
      "make this a device of the account in the file, instead of one with an account of its own",
    )
    .option("--yes", "use keys of buckets at hosts that are new here, without asking")
    .option("--identity <folder>", "a node's identity folder; without it the profile joins as a client")
    .option("--name <name>", "this member's name", "member")
    .option("--server-name <names...>", "DNS names and addresses of a node, for its certificate")
    .addHelpText(
      "after",
      "\nExamples:\n  holdfast join --invite-file invite.txt\n  holdfast join --identity /var/lib/holdfast/id --name n1 --server-name n1.example.org < invite.txt\n",
    )
    .action((flags: JoinFlags) => joinGrid(context, flags))
}

interface CoordinatorFlags {
  readonly dir: string
  readonly listen: string
  readonly advertise?: string
  readonly coding: string
  readonly registerMode: string
  readonly name: string
  readonly monitor?: string
  readonly restored?: boolean
  readonly logLevel: string
}
interface NodeFlags {
  readonly dir: string
  readonly identity: string
  readonly listen: string
  readonly advertise?: string
  readonly monitor?: string
  readonly administrator?: readonly string[]
  readonly quota?: string
  readonly reserve?: string
  readonly memory?: string
  readonly logLevel: string
}
const leastMemoryBytes = 64 * 1024 * 1024

interface JoinFlags {
  readonly inviteFile?: string
  readonly account?: string
  readonly yes?: boolean
  readonly identity?: string
  readonly name: string
  readonly serverName?: readonly string[]
}

async function runCoordinator(context: Context, flags: CoordinatorFlags): Promise<void> {
  const { startCoordinator } = await import("@holdfast/coordinator")
  const { createLogger, parseAddress } = await import("@holdfast/network")
  if (flags.registerMode !== "crash" && flags.registerMode !== "byzantine")
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `--register-mode is crash or byzantine, not "${flags.registerMode}".`,
    )
  const coordinator = await startCoordinator({
    dir: flags.dir,
    ...parseAddress(flags.listen),
    ...(flags.advertise ? { advertise: flags.advertise } : {}),
    coding: parseCoding(flags.coding, 255),
    registerMode: flags.registerMode,
    name: flags.name,
    ...(flags.monitor ? { monitor: parseAddress(flags.monitor) } : {}),
    restored: flags.restored ?? false,
    logger: createLogger({ stream: context.stderr, level: await logLevel(flags.logLevel) }),
  })
  await untilAsked()
  await coordinator.close()
}

async function runNode(flags: NodeFlags): Promise<void> {
  const { startNode } = await import("@holdfast/node")
  const { createLogger, parseAddress } = await import("@holdfast/network")
  const node = await startNode({
    identityDir: flags.identity,
    dir: flags.dir,
    ...parseAddress(flags.listen),
    membership: flags.advertise ? { advertise: flags.advertise } : {},
    ...(flags.monitor ? { monitor: parseAddress(flags.monitor) } : {}),
    ...(flags.quota ? { quotas: { defaultBytes: quotaOf(flags.quota) } } : {}),
    ...(flags.administrator ? { administrators: administratorsOf(flags.administrator) } : {}),
    ...(flags.reserve ? { reservedBytes: wholeNumber("--reserve", flags.reserve) } : {}),
    ...(flags.memory ? { limits: { memoryBytes: memoryOf(flags.memory) } } : {}),
    logger: createLogger({ stream: process.stderr, level: await logLevel(flags.logLevel) }),
  })
  await untilAsked()
  await node.close()
}

async function members(context: Context, dir: string): Promise<void> {
  const { listMembers } = await import("@holdfast/coordinator")
  const all = listMembers({ dir })
  const day = (ms: number | null) => (ms === null ? "?" : isoTime(ms).slice(0, 10))
  const lines = all.map((member) => {
    const { id, role, tenant, name, roles, certificateEndMs, revokedMs } = member
    const words = nodeWords(member)
    return [
      name.padEnd(16),
      role.padEnd(7),
      tenant.padEnd(12),
      (role === "client" ? (roles ?? "all roles") : "").padEnd(14),
      id,
      revokedMs === null ? `until ${day(certificateEndMs)}` : `revoked ${day(revokedMs)}`,
      ...(words === "" ? [] : [words]),
    ].join("  ")
  })
  context.output(all, lines.length > 0 ? lines : "Nobody has joined yet.")
}

interface RevokeFlags {
  readonly dir: string
  readonly yes?: boolean
}

async function revoke(context: Context, member: string, { dir, yes = false }: RevokeFlags): Promise<void> {
  const { revokeMember } = await import("@holdfast/coordinator")
  if (!yes && isAsking(context))
    await confirm(context, {
      warning: `${member} is shut out for ever: its certificate is never taken again, and to come back it needs a new invitation and is somebody else then.`,
      question: "Revoke it?",
      insteadOfAsking: "To do so unasked: --yes",
      refusal: `${member} stays.`,
    })
  const { id, name, role, revokedMs, witness } = revokeMember({ dir, member })
  const next = witness
    ? "Name who keeps roots in its place: holdfast coordinator voters"
    : "Now put back what it held: holdfast check --deep --repair ALIAS:"
  const rest = role === "node" ? ` ${next}` : ""
  context.output(
    { id, name, role, revokedMs },
    `${name} (${id}) is revoked. The coordinator refuses it from now on, nodes within some ten seconds, over open connections too.${rest}`,
  )
}

async function joinGrid(context: Context, flags: JoinFlags): Promise<void> {
  const { readSecret } = await import("../../input.ts")
  const text = await readSecret(flags.inviteFile || "-")
  const paths = pathsOf(context.env)
  const dir = flags.identity ?? joinPath(profileDir(paths, context.profile), "identity")
  const joined = await (flags.identity === undefined
    ? joinAsProfile(context, text, flags)
    : joinAt(context, text, dir, flags))
  if (joined.role === "client" && !flags.identity && flags.account !== undefined) {
    const { useAccount } = await import("./account.ts")
    await useAccount(context, flags.account, flags.yes ?? false)
  }
  const next =
    joined.role === "node"
      ? `Now run: holdfast node run --identity ${dir} --dir FOLDER --advertise HOST:PORT`
      : "Now make a tree with `holdfast alias create NAME`, or add one that was shared with you: holdfast alias add NAME --cap-file FILE"
  const { role, memberId, tenant, roles } = joined
  const may =
    role === "client"
      ? ` of the tenant ${tenant}. It may: ${roles.join(", ")}`
      : joined.witness
        ? ", as a witness: it keeps roots of trees and takes no data"
        : ""
  context.output(joined, [`Joined as ${role} ${memberId}${may}.`, next])
}

async function joinAt(context: Context, text: string, dir: string, { name, serverName }: JoinFlags): Promise<Joined> {
  const { joinNode } = await import("@holdfast/client/profile")
  const tell = (line: string) => context.warn(line)
  return joinNode(text, { dir, name, tell, ...(serverName ? { serverNames: serverName } : {}) })
}

async function joinAsProfile(context: Context, text: string, { name, serverName }: JoinFlags): Promise<Joined> {
  const { joinProfile } = await import("@holdfast/client/profile")
  const { profile, passphrase } = context
  return joinProfile(text, {
    ...{ paths: pathsOf(context.env), profile, name, serverNames: serverName, passphrase },
    openProfile: () => context.openProfile(),
    tell: (line) => context.warn(line),
  })
}

function untilAsked(): Promise<void> {
  return new Promise((resolve) => {
    process.once("SIGTERM", () => resolve())
    process.once("SIGINT", () => resolve())
  })
}

async function logLevel(text: string): Promise<LogLevel> {
  const { isLogLevel } = await import("@holdfast/network")
  if (isLogLevel(text)) return text
  throw new HoldfastError("ERR_INVALID_ARGUMENT", `--log-level is error, warn, info or debug, not "${text}".`)
}

function quotaOf(text: string): number {
  return text === "none" ? Number.POSITIVE_INFINITY : wholeNumber("--quota", text)
}

function memoryOf(text: string): number {
  const bytes = wholeNumber("--memory", text)
  if (bytes >= leastMemoryBytes) return bytes
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `--memory is at least ${leastMemoryBytes} bytes, four of the largest requests.`,
  )
}

function administratorsOf(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.map((word) => {
      const [, tenant, key] = /^([A-Za-z0-9._-]{1,64})=([0-9a-f]{64})$/.exec(word) ?? []
      if (tenant && key) return [tenant, key]
      throw new HoldfastError(
        "ERR_INVALID_ARGUMENT",
        `--administrator takes a tenant, "=" and 64 hexadecimal digits, not "${word}".`,
      )
    }),
  )
}
