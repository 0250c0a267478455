/**
 * Invitations: one string that lets one new member join a grid once. Specification: docs/formats/invite.md.
 * Spelling: "hf-invite:" base32(CBOR payload, 4 bytes of checksum). It is a secret until it is used.
 */
import {
  concat,
  decodeBase32,
  decodeCbor,
  encodeBase32,
  encodeCbor,
  equal,
  FieldReader,
  HoldfastError,
  hashSmall,
} from "@holdfast/core"

/** What an invitation says. */
export interface Invite {
  /** host:port of the coordinator. */
  readonly address: string
  /** SHA-256 of the authority's certificate in DER, 32 bytes. */
  readonly caFingerprint: Uint8Array
  /** The one-time secret, 32 bytes. */
  readonly token: Uint8Array
  /** When it ends, ms since the epoch. The coordinator decides; this is for an early answer. */
  readonly expiryMs: number
  /** It is for a witness; who joins with it goes on only when the coordinator's answer says so. Of version 2. */
  readonly witness?: true
}

const prefix = "hf-invite:"
const checksumDomain = "holdfast/invite-checksum/1"
const maxAddressLength = 300
const maxInviteLength = 1024

/** The string of an invitation. */
export function encodeInvite({ address, caFingerprint, token, expiryMs, witness }: Invite): string {
  const payload = encodeCbor([witness ? 2 : 1, address, caFingerprint, token, expiryMs])
  return `${prefix}${encodeBase32(concat(payload, checksum(payload)))}`
}

/** Parses an invitation. Throws ERR_INVITE or ERR_UNSUPPORTED_VERSION, without repeating the string. */
export function decodeInvite(text: string): Invite {
  const trimmed = text.trim()
  if (!trimmed.startsWith(prefix) || trimmed.length > maxInviteLength)
    throw badInvite(`it does not have the form ${prefix}LETTERS`)
  const bytes = decodeBase32(trimmed.slice(prefix.length))
  if (!bytes || bytes.length < 5) throw badInvite("it is cut short or has a wrong letter")
  const payload = bytes.subarray(0, bytes.length - 4)
  if (!equal(checksum(payload), bytes.subarray(bytes.length - 4)))
    throw badInvite("its checksum does not fit, so a letter is missing or mistyped")
  try {
    return fieldsOf(payload)
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "ERR_UNSUPPORTED_VERSION") throw error
    throw badInvite("its content is damaged")
  }
}

function fieldsOf(payload: Uint8Array): Invite {
  const fields = new FieldReader(decodeCbor(payload, "invitation"), "invitation")
  const version = fields.integer()
  if (version !== 1 && version !== 2)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `Invitation version ${version} needs a newer Holdfast.`, {
      version,
    })
  const invite = {
    address: fields.text(maxAddressLength),
    caFingerprint: fields.bytes(32),
    token: fields.bytes(32),
    expiryMs: fields.integer(),
    ...(version === 2 && { witness: true as const }),
  }
  fields.end()
  return invite
}

function checksum(payload: Uint8Array): Uint8Array {
  return hashSmall(checksumDomain, payload).subarray(0, 4)
}

function badInvite(why: string): HoldfastError {
  return new HoldfastError("ERR_INVITE", `This is not a valid invitation: ${why}. Copy the whole string again.`)
}
