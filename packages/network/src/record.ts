/** A member's own record of the grid that it joined. */
import { z } from "zod"
import { parseJson, parseOr } from "./grid.ts"
import { readIdentityFile } from "./tls/identity.ts"
import { isName } from "./tls/subject.ts"

const nameSchema = z.string().refine(isName)

/** What a member keeps about its grid (member.json). No secrets. */
const memberRecordSchema = z.object({
  version: z.literal(1),
  memberId: nameSchema,
  role: z.enum(["node", "client", "coordinator"]),
  tenant: nameSchema,
  name: z.string().max(64),
  coordinator: z.string().max(300),
  coordinatorId: nameSchema,
  gridId: z.string().min(1).max(64),
  /** Ed25519 public key, base64: the grid's when this member joined. */
  gridPublicKey: z.string().length(44),
  /** Of a node: it keeps registers and never shares. */
  witness: z.literal(true).optional(),
})
export type MemberRecord = z.infer<typeof memberRecordSchema>

/** A member's record of its grid. Throws ERR_NOT_FOUND, ERR_BAD_FORMAT. */
export async function loadMemberRecord(dir: string): Promise<MemberRecord> {
  const text = await readIdentityFile(dir, "member.json")
  return parseOr(memberRecordSchema, parseJson(text, "member.json"), "member.json")
}
