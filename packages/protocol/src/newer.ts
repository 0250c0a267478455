/**
 * Telling what a later version wrote from what rotted. After a downgrade a place holds shares and values that this version cannot
 * read: they are good, and are left to whoever can. A version number that rotted gives itself away: with one that is known here
 * in its place, all that the bytes are checked by holds again.
 */
import { type CryptoProvider, isHoldfastError } from "@holdfast/core"
import { decodeShareHead } from "./chunk.ts"
import { decodeRegisterValue } from "./register.ts"
import { verifyShare } from "./share-check.ts"

/** Where the versions stand: of a share in its head and in its descriptor, of a value in the first of its fields. */
const ofShares = { at: [3, 8], known: [1, 2] }
const ofValues = { at: [1], known: [1, 3, 4] }

/** So many bytes from the beginning of a share are enough for `isNewerShareHead`. */
export const newerHeadBytes = 16

/** True for a share of a version that is not known here. */
export async function isNewerShare(crypto: CryptoProvider, bytes: Uint8Array): Promise<boolean> {
  return isNewerShareHead(bytes) && !(await isAsKnown(bytes, ofShares, (given) => verifyShare(crypto, given)))
}

/**
 * True when what begins so is a share of a version that is not known here, if it is one at all: for those that are too large to be read.
 */
export function isNewerShareHead(head: Uint8Array): boolean {
  try {
    decodeShareHead(head)
    return false
  } catch (error) {
    return isHoldfastError(error, "ERR_UNSUPPORTED_VERSION")
  }
}

/** True for a register's value of a version that is not known here. */
export async function isNewerValue(crypto: CryptoProvider, bytes: Uint8Array): Promise<boolean> {
  // The number alone decides: what follows it may be of a form that nobody knows here.
  return isNewerValueHead(bytes) && !(await isAsKnown(bytes, ofValues, (given) => decodeRegisterValue(crypto, given)))
}

/** The same as `isNewerShareHead`, of a register's value: an array whose first item is a number above those known here. */
export function isNewerValueHead(head: Uint8Array): boolean {
  const [array = 0, version = 0] = head
  const isNumber = version < 0x1c
  return array >> 5 === 4 && isNumber && version > Math.max(...ofValues.known)
}

/** True when the bytes are good with the number of a version that is known. */
async function isAsKnown(
  bytes: Uint8Array,
  { at, known }: { readonly at: readonly number[]; readonly known: readonly number[] },
  check: (bytes: Uint8Array) => Promise<unknown>,
): Promise<boolean> {
  const changed = bytes.slice()
  for (const version of known) {
    for (const position of at) if (position < changed.length) changed[position] = version
    if (await isGood(check(changed))) return true
  }
  return false
}

async function isGood(checked: Promise<unknown>): Promise<boolean> {
  try {
    await checked
    return true
  } catch (error) {
    if (isHoldfastError(error)) return false
    throw error
  }
}
