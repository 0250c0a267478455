/**
 * The signed grid description and the statement of the grid's root. Specification: docs/formats/grid-description.md.
 * The signatures are Ed25519 over a domain string and the payload's exact bytes, by keys pinned when joining.
 */
import { createPublicKey, type KeyObject, sign, verify } from "node:crypto"
import { concat, domainPrefix, HoldfastError, hashSmall, isStrictSignature, parseOr, utf8 } from "@holdfast/core"
import {
  type GridDescription,
  gridDescriptionSchema,
  hasFieldsOfItsVersion,
  type RootStatement,
  refuseNewerGrid,
  rootStatementSchema,
  type SignedText,
  signedTextSchema,
} from "@holdfast/protocol"

/** A grid description as it is sent and cached. */
export const signedGridSchema = signedTextSchema
export type SignedGrid = SignedText

const oldDomain = "holdfast/grid-description/1"
/** Versions 1 and 2 have one domain, each later version its own. */
const domainOf: Readonly<Record<GridDescription["version"], string>> = {
  1: oldDomain,
  2: oldDomain,
  3: "holdfast/grid-description/3",
  4: "holdfast/grid-description/4",
}
const digestDomain = "holdfast/grid-digest/1"
const rootDomain = "holdfast/grid-root/1"

/** Signs a description with the grid's Ed25519 key. */
export function signGrid(grid: GridDescription, key: KeyObject): SignedGrid {
  return signText(JSON.stringify(grid), domainOf[grid.version], key)
}

/**
 * The description inside, if the grid's key signed it (32 bytes, base64).
 * Throws ERR_CORRUPT for a wrong signature, ERR_UNSUPPORTED_VERSION, ERR_BAD_FORMAT for anything malformed.
 */
export function openGrid(signed: unknown, gridPublicKey: string): GridDescription {
  const text = parseOr(signedGridSchema, signed, "The signed grid description")
  refuseNewerGrid(jsonIn(text.payload)) // a later version has a signature that cannot be known here
  const domain = [...new Set(Object.values(domainOf))].find((one) => isSigned(text, one, gridPublicKey))
  if (domain === undefined)
    throw new HoldfastError(
      "ERR_CORRUPT",
      "The grid description is not signed by this grid's key, so it was altered. Nothing of it is used.",
    )
  const grid = peekGrid(text)
  const isOurs = grid.gridPublicKey === undefined || grid.gridPublicKey === gridPublicKey
  if (hasFieldsOfItsVersion(grid) && domain === domainOf[grid.version] && isOurs) return grid
  throw new HoldfastError(
    "ERR_BAD_FORMAT",
    "The grid description is malformed: its fields are not those of its version.",
  )
}

/** What a description says of itself, its signature unchecked. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION. */
export function peekGrid({ payload }: SignedGrid): GridDescription {
  const json = parseJson(payload, "The grid description")
  refuseNewerGrid(json)
  return parseOr(gridDescriptionSchema, json, "The grid description")
}

/** Names one description among all: base64url of the hash of its payload. */
export function digestOf({ payload }: SignedGrid): string {
  return Buffer.from(hashSmall(digestDomain, utf8(payload))).toString("base64url")
}

/** Signs a statement with the grid's root key. */
export function signRoot(statement: RootStatement, key: KeyObject): SignedText {
  return signText(JSON.stringify(statement), rootDomain, key)
}

/** The statement inside, if the root key signed it. Throws ERR_CORRUPT, ERR_BAD_FORMAT. */
export function openRoot(signed: unknown, rootPublicKey: string): RootStatement {
  const text = parseOr(signedTextSchema, signed, "The root statement")
  if (!isSigned(text, rootDomain, rootPublicKey))
    throw new HoldfastError(
      "ERR_CORRUPT",
      "The root statement is not signed by the grid's root. Nothing of it is used.",
    )
  return parseOr(rootStatementSchema, parseJson(text.payload, "The root statement"), "The root statement")
}

/** The 32 bytes of an Ed25519 key's public half, base64. */
export function publicKeyText(key: KeyObject): string {
  const x = createPublicKey(key).export({ format: "jwk" }).x
  if (!x) throw new HoldfastError("ERR_BAD_FORMAT", "This is not an Ed25519 key.")
  return Buffer.from(x, "base64url").toString("base64")
}

/** Text as JSON. Throws ERR_BAD_FORMAT. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new HoldfastError("ERR_BAD_FORMAT", `${what} is not JSON.`)
  }
}

/** The same; undefined for what is not JSON. */
function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function signText(payload: string, domain: string, key: KeyObject): SignedText {
  return { payload, signature: sign(null, signedBytes(payload, domain), key).toString("base64") }
}

function isSigned({ payload, signature }: SignedText, domain: string, publicKey: string): boolean {
  const [key, bytes] = [publicKeyOf(publicKey), Buffer.from(signature, "base64")]
  return (
    isStrictSignature(Buffer.from(publicKey, "base64"), bytes) && verify(null, signedBytes(payload, domain), key, bytes)
  )
}

function signedBytes(payload: string, domain: string): Uint8Array {
  return concat(domainPrefix(domain), utf8(payload))
}

function publicKeyOf(base64: string): KeyObject {
  const x = Buffer.from(base64, "base64")
  if (x.length !== 32) throw new HoldfastError("ERR_BAD_FORMAT", "The grid's public key is not 32 bytes.")
  return createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x: x.toString("base64url") } })
}
