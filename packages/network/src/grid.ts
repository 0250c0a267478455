/**
 * The signed grid description and the member's own record of its grid. Specification: docs/formats/grid-description.md.
 * The signature is Ed25519 over a domain string and the payload's exact bytes, by a key pinned when joining.
 */
import { createPublicKey, type KeyObject, sign, verify } from "node:crypto"
import { concat, domainPrefix, HoldfastError, utf8 } from "@holdfast/core"
import { type GridDescription, gridDescriptionSchema } from "@holdfast/protocol"
import { z } from "zod"

const domain = "holdfast/grid-description/1"

/** A grid description as it is sent and cached. */
export const signedGridSchema = z.object({
  /** JSON of a GridDescription. */
  payload: z.string().max(4 * 1024 * 1024),
  /** Ed25519 signature, base64. */
  signature: z.string().length(88),
})
export type SignedGrid = z.infer<typeof signedGridSchema>

/** Signs a description with the grid's Ed25519 key. */
export function signGrid(grid: GridDescription, key: KeyObject): SignedGrid {
  const payload = JSON.stringify(grid)
  return { payload, signature: sign(null, signedBytes(payload), key).toString("base64") }
}

/**
 * The description inside, if the grid's key signed it (32 bytes, base64).
 * Throws ERR_CORRUPT for a wrong signature, ERR_BAD_FORMAT for anything malformed.
 */
export function openGrid(signed: unknown, gridPublicKey: string): GridDescription {
  const { payload, signature } = parseOr(signedGridSchema, signed, "The signed grid description")
  if (!verify(null, signedBytes(payload), publicKeyOf(gridPublicKey), Buffer.from(signature, "base64")))
    throw new HoldfastError(
      "ERR_CORRUPT",
      "The grid description is not signed by this grid's key, so it was altered. Nothing of it is used.",
    )
  const grid = parseOr(gridDescriptionSchema, parseJson(payload, "The grid description"), "The grid description")
  if ((grid.version === 2) === (grid.revoked !== undefined)) return grid
  throw new HoldfastError(
    "ERR_BAD_FORMAT",
    "The grid description is malformed: version 2, and no other, has revoked keys.",
  )
}

/** Text as JSON. Throws ERR_BAD_FORMAT. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new HoldfastError("ERR_BAD_FORMAT", `${what} is not JSON.`)
  }
}

/** The value if it fits the schema. Throws ERR_BAD_FORMAT naming the first wrong field, never its content. */
export function parseOr<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const field = issue?.path.join(".") || "it"
  throw new HoldfastError("ERR_BAD_FORMAT", `${what} is malformed: ${field} is not as required.`, { field })
}

function signedBytes(payload: string): Uint8Array {
  return concat(domainPrefix(domain), utf8(payload))
}

function publicKeyOf(base64: string): KeyObject {
  const x = Buffer.from(base64, "base64")
  if (x.length !== 32) throw new HoldfastError("ERR_BAD_FORMAT", "The grid's public key is not 32 bytes.")
  return createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x: x.toString("base64url") } })
}
