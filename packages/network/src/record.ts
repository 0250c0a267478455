/** A member's own record of the grid that it joined. */
import { parseOr, text } from "@holdfast/core"
import * as v from "valibot"
import { parseJson } from "./grid.ts"
import { readIdentityFile } from "./tls/identity.ts"
import { isName } from "./tls/subject.ts"

const nameSchema = v.custom<string>(isName)

/** What a member keeps about its grid (member.json). No secrets. */
const memberRecordSchema = v.object({
  version: v.literal(1),
  memberId: nameSchema,
  role: v.picklist(["node", "client", "coordinator"]),
  tenant: nameSchema,
  name: text(64),
  coordinator: text(300),
  coordinatorId: nameSchema,
  gridId: text(64, 1),
  /** Ed25519 public key, base64: the grid's when this member joined. */
  gridPublicKey: text(44, 44),
  /** Of a node: it keeps registers and never shares. */
  witness: v.optional(v.literal(true)),
})
export type MemberRecord = v.InferOutput<typeof memberRecordSchema>

/** A member's record of its grid. Throws ERR_NOT_FOUND, ERR_BAD_FORMAT. */
export async function loadMemberRecord(dir: string): Promise<MemberRecord> {
  const text = await readIdentityFile(dir, "member.json")
  return parseOr(memberRecordSchema, parseJson(text, "member.json"), "member.json")
}
