/**
 * `holdfast coordinator label`, and what a grid's operator is told of labels and witnesses. Only the operator gives them: a node says
 * nothing of where it stands.
 */
import { describedLabels, parseLabels, survivalOf } from "@holdfast/client/volumes"
import type { ListedMember } from "@holdfast/coordinator"
import { newestGridVersion } from "@holdfast/protocol"
import type { Command } from "commander"
import type { Context } from "../../context.ts"

/** Adds the command below `coordinator`. */
export function registerLabels(coordinator: Command, context: Context): void {
  coordinator
    .command("label")
    .description("say what a node would be lost with; without labels, that it is lost alone")
    .argument("<node>", "its name, or its id when several have that name")
    .argument("[labels...]", "provider=NAME, site=NAME, rack=NAME")
    .requiredOption("--dir <folder>", "the coordinator's folder")
    .addHelpText(
      "after",
      `
Clients spread shares over sites and the like first, and \`check\` says what would be left without each. They follow within a minute; what
is stored already stays where it is until somebody says: holdfast rebalance ALIAS:

Examples:
  holdfast coordinator label n1 site=home --dir /var/lib/holdfast/coordinator
  holdfast coordinator label n2 site=work rack=1 --dir /var/lib/holdfast/coordinator
  holdfast coordinator label n2 --dir /var/lib/holdfast/coordinator
`,
    )
    .action((node: string, labels: string[], { dir }: { dir: string }) => label(context, node, labels, dir))
}

async function label(context: Context, node: string, texts: readonly string[], dir: string): Promise<void> {
  const { labelNode } = await import("@holdfast/coordinator")
  // As a place of a volume has them, with commas between, and as words of their own.
  const words = texts.flatMap((text) => text.split(","))
  const { id, name, labels } = labelNode({ dir, node, labels: words.length > 0 ? parseLabels(words) : null })
  const older = await olderMembers(dir)
  context.output({ id, name, labels, older: older.map((member) => member.name) }, [
    labels ? `${name} (${id}) is in ${describedLabels(labels)}.` : `${name} (${id}) has no labels: it is lost alone.`,
    "Clients follow within a minute. Each moves shares to where they belong then with: holdfast rebalance ALIAS:",
    ...olderNotes(older),
  ])
}

/** What a node is, behind the rest of its line. */
export function nodeWords({ role, labels, witness }: ListedMember): string {
  if (role !== "node") return ""
  return [...(witness ? ["witness"] : []), ...(labels ? [describedLabels(labels)] : [])].join(", ")
}

/** Members that have not shown that they read what a grid with labels or a witness has. Throws ERR_NOT_FOUND. */
async function olderMembers(dir: string): Promise<ListedMember[]> {
  const { listMembers } = await import("@holdfast/coordinator")
  return listMembers({ dir }).filter(({ revokedMs, reads }) => revokedMs === null && (reads ?? 0) < newestGridVersion)
}

function olderNotes(older: readonly ListedMember[]): string[] {
  if (older.length === 0) return []
  return [
    `Not yet seen with a Holdfast that knows labels and witnesses: ${older.map(({ name }) => name).join(", ")}. Upgrade these:`,
    "until then they go on with the grid as it was, and hear neither of new nodes nor of keys that are revoked.",
  ]
}

/** What is said to the operator who invites a node with labels, or a witness. */
export async function invitedNotes(dir: string, { witness }: { readonly witness: boolean }): Promise<string[]> {
  const older = olderNotes(await olderMembers(dir))
  return witness ? [...(await witnessNotes(dir)), ...older] : older
}

const whatItIs = [
  "Whoever uses this joins as a witness: a node that keeps the roots of trees only, some kilobytes, and refuses data. It stands where",
  "neither of the others does. With it, a grid of two nodes goes on when either of them is lost.",
]

async function witnessNotes(dir: string): Promise<string[]> {
  const { readDescription } = await import("@holdfast/coordinator")
  const { formedVoters } = await import("@holdfast/network")
  const grid = readDescription({ dir })
  if (!grid) return whatItIs
  const { coding, registerMode, voters = [], servers } = grid
  const isFormed = voters.length >= formedVoters(coding.n, registerMode)
  const isUseful = survivalOf(grid, voters.length + 1).lost > survivalOf(grid, voters.length).lost
  const names = voters.map((id) => servers.find((server) => server.id === id)?.name ?? id).join(" ")
  return [
    ...whatItIs,
    ...(coding.k === coding.n
      ? [
          `With the coding ${coding.k}/${coding.happy}/${coding.n} each node with shares is needed to read, so it helps nothing here.`,
        ]
      : voters.length > 1 && !isUseful
        ? [`As this grid is now, with ${voters.length} nodes that keep roots, as many may be lost without it.`]
        : []),
    ...(isFormed
      ? [
          `${voters.length} nodes keep roots already, so it is asked only once you name it among them: holdfast coordinator voters ${names} NAME --dir FOLDER`,
        ]
      : []),
  ]
}
