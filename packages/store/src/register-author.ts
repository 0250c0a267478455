/**
 * Who wrote a register value: a device's key and name, and the account it writes for, sealed with the content. Readers of the tree
 * see it, servers do not. The device signs all of the value that is known before it is sealed, so nobody else can claim it.
 */
import {
  type CborValue,
  type CryptoProvider,
  concat,
  domainPrefix,
  encodeCbor,
  FieldReader,
  fromUtf8,
  HoldfastError,
  utf8,
} from "@holdfast/core"
import { boundFieldsOf, type UnsignedValue } from "@holdfast/protocol"

/** Who wrote a value. */
export interface Author {
  /** The device's Ed25519 key, 32 bytes. */
  readonly device: Uint8Array
  /** The account that it writes for, 32 bytes; empty when none. */
  readonly account: Uint8Array
  /** What the device calls itself: for people, and proven by nobody. */
  readonly name: string
}

/** A device that writes. */
export interface Device extends Author {
  /** Signs with the device's key. */
  sign(message: Uint8Array): Promise<Uint8Array>
}

/** An author of a value of the past. */
export interface PastAuthor {
  readonly sequence: number
  readonly author: Author
}

/** What is sealed as the content of a value of version 4. */
export interface Signed {
  readonly content: Uint8Array
  /** Absent when no device signed, or its signature is wrong. */
  readonly author?: Author
  /** Authors of the values before, newest first: what their writers' successors say. */
  readonly past: readonly PastAuthor[]
}

/** All of a value but what is sealed. */
export type OpenValue = Omit<UnsignedValue, "sealed">

const authorDomain = "holdfast/register-author/1"
const nameBytes = 64
/** Most authors of the past that a value names. */
const maxPastAuthors = 16

/** Encodes what is sealed as content. */
export async function encodeSigned(
  crypto: CryptoProvider,
  value: OpenValue,
  content: Uint8Array,
  by: { readonly device?: Device | undefined; readonly past: readonly PastAuthor[] },
): Promise<Uint8Array> {
  const { device } = by
  const past = by.past.slice(0, maxPastAuthors).map(({ sequence, author }) => [sequence, ...fieldsOf(author)])
  if (!device) return encodeCbor([content, null, past])
  const signature = await device.sign(await messageOf(crypto, value, content, device))
  return encodeCbor([content, [...fieldsOf(device), signature], past])
}

/** Decodes it. Throws ERR_BAD_FORMAT. */
export async function decodeSigned(crypto: CryptoProvider, value: OpenValue, fields: FieldReader): Promise<Signed> {
  const content = fields.bytes()
  const signed = fields.any()
  const past = fields.array(maxPastAuthors).map((item) => {
    const line = new FieldReader(item, "author of a version")
    const one = { sequence: line.integer(1), author: readAuthor(line) }
    line.end()
    return one
  })
  fields.end()
  if (signed === null) return { content, past }
  const line = new FieldReader(signed, "author of a version")
  const [author, signature] = [readAuthor(line), line.bytes(64)]
  line.end()
  const isTheirs = await crypto.verify(author.device, await messageOf(crypto, value, content, author), signature)
  return { content, past, ...(isTheirs && { author }) }
}

async function messageOf(
  crypto: CryptoProvider,
  value: OpenValue,
  content: Uint8Array,
  author: Author,
): Promise<Uint8Array> {
  const whole = encodeCbor([...boundFieldsOf(value), content, ...fieldsOf(author)])
  return concat(domainPrefix(authorDomain), await crypto.sha256(whole))
}

function fieldsOf({ device, account, name }: Author): CborValue[] {
  return [device, account, name]
}

function readAuthor(fields: FieldReader): Author {
  const author = { device: fields.bytes(32), account: fields.bytes(undefined, 32), name: fields.text(nameBytes) }
  if (author.account.length !== 0 && author.account.length !== 32)
    throw new HoldfastError("ERR_BAD_FORMAT", "The author of a version is damaged: its account has no whole id.")
  return author
}

/** `name` as a device's: cut where it would be too long. */
export function deviceName(name: string): string {
  let bytes = utf8(name).slice(0, nameBytes)
  while (bytes.length > 0) {
    const text = textOf(bytes)
    if (text !== undefined) return text
    bytes = bytes.subarray(0, -1)
  }
  return ""
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return fromUtf8(bytes)
  } catch {
    return undefined
  }
}
