/** Vectors of invitations of version 2: for a witness, and of a version to come. */
import { concat, decodeBase32, encodeBase32, hashSmall } from "@holdfast/core"
import { encodeInvite } from "@holdfast/protocol"

const witness = {
  address: "coord.example.org:7443",
  caFingerprint: new Uint8Array(32).fill(1),
  token: new Uint8Array(32).fill(2),
  expiryMs: 1_800_000_000_000,
  witness: true as const,
}
const [prefix, checksumBytes] = ["hf-invite:", 4]

/** Makes them. */
export function inviteVectors() {
  const text = encodeInvite(witness)
  const payload = decodeBase32(text.slice(prefix.length))!.slice(0, -checksumBytes)
  const changed = (change: (payload: Uint8Array) => Uint8Array) => {
    const next = change(payload.slice())
    const checksum = hashSmall("holdfast/invite-checksum/1", next).subarray(0, checksumBytes)
    return `${prefix}${encodeBase32(concat(next, checksum))}`
  }
  const versioned = (version: number) => (bytes: Uint8Array) => {
    bytes[1] = version // behind the head of the array
    return bytes
  }
  const { caFingerprint, token, ...fields } = witness
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")
  return {
    good: [{ text, ...fields, caFingerprint: hex(caFingerprint), token: hex(token) }],
    bad: [
      { why: "a later version", text: changed(versioned(3)), error: "ERR_UNSUPPORTED_VERSION" },
      { why: "version 0", text: changed(versioned(0)), error: "ERR_UNSUPPORTED_VERSION" },
      { why: "cut short", text: changed((bytes) => bytes.subarray(0, -1)), error: "ERR_INVITE" },
      { why: "another checksum", text: `${text.slice(0, -2)}aa`, error: "ERR_INVITE" },
    ],
  }
}
