/**
 * Epochs of a register: the owner of a tree, whose key is none of its writers', may begin a new one at any value of the past.
 * It is the way out of a number that a writer has burnt, and the place where writers and readers will be taken away.
 * Specification: docs/formats/register.md, section Epochs.
 */
import {
  type CborValue,
  type CryptoProvider,
  concat,
  decodeCbor,
  domainPrefix,
  encodeCbor,
  equal,
  FieldReader,
  HoldfastError,
} from "@holdfast/core"

/** The owner's word that a new epoch begins. */
export interface EpochStatement {
  /** The register's own key, 32 bytes. */
  readonly publicKey: Uint8Array
  /** The new epoch, at least 1. */
  readonly epoch: number
  /** Number and hash of the value with which it goes on: the first of the new epoch has the number after it. */
  readonly sequence: number
  readonly hash: Uint8Array
  /** Whose signature the values of the epoch bear: 32 bytes. */
  readonly writer: Uint8Array
  /** Which read key opens the values of the epoch: 32 bytes. */
  readonly readCheck: Uint8Array
  /** The owner's, 64 bytes. */
  readonly signature: Uint8Array
}

/** The last epoch and the last sequence that a register can have: both together fit into one number. */
export const [lastEpoch, lastSequence] = [2 ** 10 - 1, 2 ** 43 - 1] as const

const statementDomain = "holdfast/register-epoch/1"

/** Most bytes of an encoded statement. */
export const epochStatementBytes = 256

/** Signs a statement with the owner's seed. */
export async function signEpochStatement(
  crypto: CryptoProvider,
  ownerSeed: Uint8Array,
  statement: Omit<EpochStatement, "signature">,
): Promise<Uint8Array> {
  const fields = fieldsOf(statement)
  return encodeCbor([...fields, await crypto.sign(ownerSeed, signedBytes(fields))])
}

/** Decodes a statement; its signature is not looked at. Throws ERR_BAD_FORMAT, ERR_UNSUPPORTED_VERSION. */
export function decodeEpochStatement(bytes: Uint8Array): EpochStatement {
  const fields = new FieldReader(decodeCbor(bytes, "epoch statement"), "epoch statement")
  const version = fields.integer()
  if (version !== 1)
    throw new HoldfastError("ERR_UNSUPPORTED_VERSION", `Epoch statement version ${version} needs a newer Holdfast.`, {
      version,
    })
  const statement = {
    publicKey: fields.bytes(32),
    epoch: fields.integer(1, lastEpoch),
    sequence: fields.integer(1, lastSequence),
    hash: fields.bytes(32),
    writer: fields.bytes(32),
    readCheck: fields.bytes(32),
    signature: fields.bytes(64),
  }
  fields.end()
  return statement
}

/** True when the statement is about this register and signed by `owner`. */
export async function isStatementOf(
  crypto: CryptoProvider,
  statement: EpochStatement,
  { publicKey, owner }: { readonly publicKey: Uint8Array; readonly owner: Uint8Array },
): Promise<boolean> {
  if (!equal(statement.publicKey, publicKey)) return false
  return crypto.verify(owner, signedBytes(fieldsOf(statement)), statement.signature)
}

function fieldsOf(statement: Omit<EpochStatement, "signature">): CborValue[] {
  const { publicKey, epoch, sequence, hash, writer, readCheck } = statement
  return [1, publicKey, epoch, sequence, hash, writer, readCheck]
}

function signedBytes(fields: readonly CborValue[]): Uint8Array {
  return concat(domainPrefix(statementDomain), encodeCbor([...fields]))
}
