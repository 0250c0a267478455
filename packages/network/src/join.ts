/**
 * Joining a grid. The key is made here and never leaves; the authority is checked against the
 * invitation before the token is sent. Specification: docs/protocols/join.md.
 */
import { X509Certificate } from "node:crypto"
import { rm } from "node:fs/promises"
import { resolve } from "node:path"
import { connect } from "node:tls"
import { equal, HoldfastError, hashSmall, isHoldfastError, isoTime, parseOr, text, toHex } from "@holdfast/core"
import { codeOf, createSecretDirectory, refuseUnlessFree } from "@holdfast/core/node"
import { decodeInvite } from "@holdfast/protocol"
import * as v from "valibot"
import { call, jsonOf } from "./coordinator-call.ts"
import { openGrid, signedGridSchema } from "./grid.ts"
import { firstPins } from "./pins/pins.ts"
import type { MemberRecord } from "./record.ts"
import { fingerprintOf, sameCertificate } from "./tls/authority.ts"
import { checkIdentity, createKeyAndRequest, type Identity, readIdentityFile, saveIdentity } from "./tls/identity.ts"
import { type AccessRole, rolesOf } from "./tls/roles.ts"
import { badMemberName, isName, type Role } from "./tls/subject.ts"
import { parseAddress } from "./tls/unreachable.ts"

const nameSchema = v.custom<string>(isName)

/** The coordinator's answer to a join. */
const joinAnswerSchema = v.object({
  memberId: nameSchema,
  certPem: text(16_384),
  coordinatorId: nameSchema,
  gridPublicKey: text(44, 44),
  grid: signedGridSchema,
  /** The node keeps registers and never shares. */
  witness: v.optional(v.literal(true)),
})

/** Where the new identity goes, and how it is called. */
export interface JoinOptions {
  /** A directory that is absent or empty. */
  readonly dir: string
  /** For people: 1 to 64 letters, digits, dots, underscores, hyphens. */
  readonly name: string
  /** DNS names and IP addresses of a node, for its certificate. */
  readonly serverNames?: readonly string[]
}

/** What a machine became. */
export interface Joined {
  readonly memberId: string
  readonly role: Role
  readonly tenant: string
  /** What it may do at nodes. */
  readonly roles: readonly AccessRole[]
  /** A node that keeps registers and never shares. */
  readonly witness?: true
}

/**
 * Joins the grid of an invitation. When the answer was lost, the same invitation with the same directory asks for it
 * again. Throws ERR_INVITE, ERR_REFUSED, ERR_SERVER_UNREACHABLE, ERR_ALREADY_EXISTS.
 */
export async function join(invitation: string, options: JoinOptions): Promise<Joined> {
  const { dir, name, serverNames = [] } = options
  const invite = decodeInvite(invitation)
  if (invite.expiryMs <= Date.now())
    throw new HoldfastError("ERR_INVITE", `This invitation ended on ${isoTime(invite.expiryMs)}. Ask for a new one.`)
  if (!isName(name)) throw badMemberName(name)
  await refuseUnlessFree(dir) // before the token is spent
  const caPem = await fetchAuthority(invite.address, invite.caFingerprint)
  const pending = await pendingKey(`${resolve(dir)}.joining`, invite.token)
  const { keyPem, csrPem } = pending
  const token = Buffer.from(invite.token).toString("base64url")
  const body = { token, csr: csrPem, name, serverNames }
  const response = await call({ caPem }, invite.address, { method: "POST", path: "/v1/join", body })
  if (response.status === 403) await pending.forget() // another attempt would fare no better
  const answer = parseOr(joinAnswerSchema, jsonOf(response, "The coordinator"), "The coordinator's answer")
  const identity = checkIdentity({ keyPem, certPem: answer.certPem, caPem })
  const grid = openGrid(answer.grid, answer.gridPublicKey)
  if (identity.memberId !== answer.memberId || !sameCertificate(grid.caPem, caPem))
    throw new HoldfastError("ERR_BAD_FORMAT", "The coordinator's answer contradicts itself. Ask its operator.")
  if (invite.witness && !answer.witness) {
    await pending.forget() // what it is for can never come of this token any more
    throw noWitness(invite.address, answer.memberId)
  }
  const record: MemberRecord = {
    version: 1,
    memberId: identity.memberId,
    role: identity.role,
    tenant: identity.tenant,
    name,
    coordinator: invite.address,
    coordinatorId: answer.coordinatorId,
    gridId: grid.gridId,
    gridPublicKey: answer.gridPublicKey,
    ...(answer.witness && { witness: true }),
  }
  await saveIdentity(dir, identity, {
    "member.json": `${JSON.stringify(record, null, 2)}\n`,
    "pins.json": JSON.stringify({ pins: firstPins(answer.grid, grid, answer.gridPublicKey), signed: answer.grid }),
  })
  await pending.forget()
  return { ...joinedOf(identity), ...(answer.witness && { witness: true as const }) }
}

/** The coordinator is of before there were witnesses, and made a node that takes data of an invitation for one. */
function noWitness(address: string, memberId: string): HoldfastError {
  return new HoldfastError(
    "ERR_INVITE",
    `This invitation is for a witness, but the coordinator at ${address} did not confirm that: it made ${memberId} a node that takes data, as a coordinator from before there were witnesses does. Nothing was kept here. Its operator upgrades and restarts it, revokes ${memberId}, and invites anew.`,
    { address, memberId },
  )
}

/** What joining gave, by the identity that came of it. */
export function joinedOf(identity: Identity): Joined {
  const { memberId, role, tenant } = identity
  return { memberId, role, tenant, roles: [...rolesOf(identity)] }
}

/** The key for this token, kept until the answer is there: the coordinator gives one token's certificate to one key. */
async function pendingKey(
  dir: string,
  token: Uint8Array,
): Promise<{ readonly keyPem: string; readonly csrPem: string; forget(): Promise<void> }> {
  const forget = () => rm(dir, { recursive: true, force: true })
  const tokenHash = toHex(hashSmall("holdfast/pending-join/1", token))
  const kept = await Promise.all(["token-hash", "key.pem", "csr.pem"].map((name) => readIdentityFile(dir, name))).catch(
    (error: unknown) => {
      if (isHoldfastError(error, "ERR_NOT_FOUND")) return []
      throw error
    },
  )
  if (kept[0] === tokenHash) return { keyPem: kept[1]!, csrPem: kept[2]!, forget }
  await forget()
  const made = await createKeyAndRequest()
  await createSecretDirectory(dir, { "token-hash": tokenHash, "key.pem": made.keyPem, "csr.pem": made.csrPem })
  return { ...made, forget }
}

/** Fetches the authority's certificate that a server presents; only one with this fingerprint is given back. */
async function fetchAuthority(address: string, fingerprint: Uint8Array): Promise<string> {
  const { host, port } = parseAddress(address)
  return new Promise((found, reject) => {
    // Not verified yet, and so nothing is sent: what comes back is used only if the invitation vouches for it.
    const socket = connect({ host, port, minVersion: "TLSv1.3", rejectUnauthorized: false, timeout: 15_000 })
    const unreachable = (why: string, cause?: Error) =>
      reject(
        new HoldfastError(
          "ERR_SERVER_UNREACHABLE",
          `The coordinator at ${address} cannot be reached: ${why}. Check that it runs and that a firewall lets it through.`,
          { address },
          cause ? { cause } : undefined,
        ),
      )
    socket.once("error", (error) => unreachable(codeOf(error) || "no TLS connection", error))
    socket.once("timeout", () => {
      socket.destroy()
      unreachable("it did not answer in time")
    })
    socket.once("secureConnect", () => {
      const authority = socket.getPeerCertificate(true)?.issuerCertificate?.raw
      socket.destroy()
      if (authority && equal(fingerprintOf(authority), fingerprint)) found(new X509Certificate(authority).toString())
      else
        reject(
          new HoldfastError(
            "ERR_INVITE",
            `The server at ${address} is not the one that this invitation is for, so nothing was sent to it. Check the address, and ask for a new invitation.`,
            { address },
          ),
        )
    })
  })
}
