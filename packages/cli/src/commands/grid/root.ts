/** `holdfast coordinator root` and `coordinator voters`: what the operator decides for good, on the coordinator's machine. */
import { fromUtf8 } from "@holdfast/core"
import { createSecretFile, readSecretFile } from "@holdfast/core/node"
import type { Command } from "commander"
import type { Context } from "../../context.ts"

/** Adds the commands below `coordinator`. */
export function registerRoot(coordinator: Command, context: Context): void {
  const root = coordinator
    .command("root")
    .description("the key that is kept offline, for the way back when the coordinator was taken over")
  root
    .command("export")
    .description("make the root, once: its key is handed over and kept nowhere else")
    .requiredOption("--dir <folder>", "the coordinator's folder")
    .option("--out <file>", "a new file for the key, readable by you only; without it the key is printed")
    .addHelpText(
      "after",
      `
Keep the key where the coordinator's machine cannot reach it: on paper, on a stick in a drawer. Members that joined before
are asked once whether they take this root.

Example:
  holdfast coordinator root export --dir /var/lib/holdfast/coordinator --out /media/stick/grid-root.pem
`,
    )
    .action((flags: ExportFlags) => exportRoot(context, flags))
  root
    .command("sign")
    .description("begin a new epoch after the coordinator was taken over: a new grid key that the root vouches for")
    .requiredOption("--dir <folder>", "the coordinator's folder")
    .requiredOption("--root-file <file>", "the file with the root's key; - is standard input")
    .option("--epoch <number>", "when this folder is an older copy: one more than the newest epoch there was")
    .addHelpText(
      "after",
      `
Members that know the root drop the old grid key for ever, and the coordinator's own old key is revoked. Start the coordinator
again afterwards.

Example:
  holdfast coordinator root sign --dir /var/lib/holdfast/coordinator --root-file /media/stick/grid-root.pem
`,
    )
    .action((flags: SignFlags) => signEpoch(context, flags))
  coordinator
    .command("voters")
    .description("show or name the nodes that keep the roots of trees")
    .argument("[nodes...]", "names or ids of all nodes that are to keep them")
    .requiredOption("--dir <folder>", "the coordinator's folder")
    .addHelpText(
      "after",
      `
Each client is asked before it takes other voters, and copies its trees' roots to them when it does. Change few at a time.

Examples:
  holdfast coordinator voters --dir /var/lib/holdfast/coordinator
  holdfast coordinator voters n1 n2 n4 --dir /var/lib/holdfast/coordinator
`,
    )
    .action((nodes: string[], flags: { dir: string }) => voters(context, nodes, flags.dir))
}

interface ExportFlags {
  readonly dir: string
  readonly out?: string
}
interface SignFlags {
  readonly dir: string
  readonly rootFile: string
  readonly epoch?: string
}

async function exportRoot(context: Context, { dir, out }: ExportFlags): Promise<void> {
  const { exportRoot } = await import("@holdfast/coordinator")
  // There, empty, before the key is made: a key that cannot be written would be lost.
  const file = out === undefined ? undefined : await createSecretFile(out)
  try {
    const { rootKeyPem, publicKey } = await exportRoot({ dir })
    if (!file) return context.outputExact({ publicKey, rootKey: rootKeyPem }, rootKeyPem)
    await file.write(rootKeyPem)
    context.output(
      { publicKey, out },
      `The root is ${publicKey}. Its key is in ${out} and nowhere else: keep it away from this machine.`,
    )
  } finally {
    await file?.close()
  }
}

async function signEpoch(context: Context, { dir, rootFile, epoch }: SignFlags): Promise<void> {
  const { signRootEpoch } = await import("@holdfast/coordinator")
  const number = epoch === undefined ? undefined : Number(epoch)
  const begun = await signRootEpoch({ dir, rootKeyPem: await readKeyFile(rootFile), epoch: number })
  context.output(
    begun,
    `Epoch ${begun.epoch} has begun: descriptions are signed by the new key ${begun.publicKey}. Now start the coordinator again.`,
  )
}

/** PEM of a few lines. */
async function readKeyFile(file: string): Promise<string> {
  const { localError } = await import("@holdfast/core/node")
  try {
    return fromUtf8(readSecretFile(file))
  } catch (error) {
    throw localError(error, file)
  }
}

async function voters(context: Context, nodes: readonly string[], dir: string): Promise<void> {
  const { chooseVoters, listMembers } = await import("@holdfast/coordinator")
  const ids = await chooseVoters(nodes.length > 0 ? { dir, voters: nodes } : { dir })
  const members = new Map(listMembers({ dir }).map((member) => [member.id, member]))
  const lines = ids.map((id) => {
    const member = members.get(id)
    return `${(member?.name ?? "?").padEnd(16)}  ${id}${member?.revokedMs === null ? "" : "  revoked"}`
  })
  context.output(
    { voters: ids },
    lines.length > 0 ? lines : "None yet: the first nodes that announce themselves will be.",
  )
}
