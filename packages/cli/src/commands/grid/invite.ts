/** `holdfast invite`: says which tenant somebody joins, what that means, and what they may do there. */
import { parseLabels } from "@holdfast/client/volumes"
import { HoldfastError } from "@holdfast/core"
import type { AccessRole } from "@holdfast/network"
import type { Context } from "../../context.ts"
import { handOver } from "../../output.ts"
import { plural } from "../../words.ts"
import { invitedNotes } from "./node-labels.ts"
import { wholeNumber } from "./whole-number.ts"

/** What was typed. */
export interface InviteFlags {
  readonly dir: string
  readonly role: string
  readonly tenant?: string
  readonly roles?: string
  readonly reader?: boolean
  readonly appendOnly?: boolean
  readonly label?: string
  readonly witness?: boolean
  readonly name?: string
  readonly ttl: string
  readonly out?: string
}

type Tenants = ReturnType<typeof import("@holdfast/coordinator").listTenants>

/** The first tenant of a grid whose operator names none. */
const firstTenant = "default"

/** Prints an invitation. */
export async function invite(context: Context, flags: InviteFlags): Promise<void> {
  const { createInvite, listTenants } = await import("@holdfast/coordinator")
  const { dir, role } = flags
  if (role !== "node" && role !== "client")
    throw new HoldfastError("ERR_INVALID_ARGUMENT", `--role is node or client, not "${role}".`)
  const roles = await rolesOfFlags(flags)
  if (role === "node" && (roles || flags.tenant !== undefined))
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "A node serves all tenants: --tenant and roles are for clients.")
  const { label, witness = false } = flags
  if (role === "client" && (label !== undefined || witness))
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "--label and --witness are for nodes: --role node.")
  const labels = label === undefined ? undefined : parseLabels(label.split(","))
  const tenants = role === "client" ? listTenants({ dir }) : []
  const tenant = role === "client" ? (flags.tenant ?? onlyTenant(tenants)) : undefined
  const text = await createInvite({
    ...{ dir, role, ttlSeconds: wholeNumber("--ttl", flags.ttl) },
    ...(tenant !== undefined && { tenant }),
    ...(roles && { roles }),
    ...(labels && { labels }),
    ...(witness && { witness }),
    ...(flags.name && { name: flags.name }),
  })
  // The invitation alone is on standard output, so that it can be piped; what it means is for who typed.
  if (tenant !== undefined && !context.json)
    context.tell(meaning({ tenant, tenants, roles, isNamed: flags.tenant !== undefined }))
  if ((labels || witness) && !context.json) context.tell(await invitedNotes(dir, { witness }))
  const ofNode = { ...(labels && { labels }), ...(witness && { witness }) }
  const value = { invite: text, role, ...ofNode, ...(tenant !== undefined && { tenant, roles: roles ?? "all" }) }
  await handOver(context, { out: flags.out, value, text })
}

async function rolesOfFlags({ roles, reader, appendOnly }: InviteFlags): Promise<AccessRole[] | undefined> {
  if ([roles !== undefined, reader, appendOnly].filter(Boolean).length > 1)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "--roles, --reader and --append-only exclude each other.")
  const text = reader ? "read" : appendOnly ? "read,append" : roles
  if (text === undefined) return undefined
  const { parseRoles } = await import("@holdfast/network")
  return parseRoles(text)
}

/** Nobody is put in with one of several customers unasked. */
function onlyTenant(tenants: Tenants): string {
  if (tenants.length === 0) return firstTenant
  if (tenants.length === 1) return tenants[0]!.tenant
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `This grid has ${tenants.length} tenants: say whose data this client's is, with --tenant ${tenants.map(({ tenant }) => tenant).join(" or --tenant ")}, or with a new name for a customer of its own.`,
    { tenants: tenants.map(({ tenant }) => tenant) },
  )
}

interface Invited {
  readonly tenant: string
  readonly tenants: Tenants
  readonly roles: readonly AccessRole[] | undefined
  readonly isNamed: boolean
}

function meaning({ tenant, tenants, roles, isNamed }: Invited): string[] {
  const known = tenants.find((one) => one.tenant === tenant)
  const company = known
    ? `, as one of them: ${plural(known.members, "member")}${known.invited > 0 ? `, ${known.invited} invited` : ""}`
    : ", which is new and empty"
  return [
    `Whoever uses this joins the tenant "${tenant}"${company}.`,
    "Members of a tenant share its space and quota and see each other's names; what somebody stored they read by capability only.",
    `It may: ${roles ? roles.join(", ") : "append, collect, read, repair (all roles)"}.`,
    ...(isNamed ? [] : ["For a customer of its own: --tenant NAME."]),
  ]
}
