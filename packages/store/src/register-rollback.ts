/** What is wrong with what servers offer of a register: older than seen, another history, or one that cannot be proven. */
import { HoldfastError, toHex } from "@holdfast/core"
import type { HeldValue } from "./register-quorum.ts"

/** A signed value as evidence; it is ciphertext, so it may be shown to anybody. Hash and value are hexadecimal. */
export interface SignedEvidence {
  readonly sequence: number
  readonly hash: string
  readonly value: string
}

/** Servers offer an older value of a register than one seen before, or one of another history. */
export interface Rollback {
  /** In hexadecimal. */
  readonly register: string
  readonly offered: number
  readonly seen: number
  /** Of a fork, and of what cannot be proven: the value seen before, and the one offered. */
  readonly evidence?: readonly [SignedEvidence, SignedEvidence]
  /** Nothing proves that the value offered follows the one seen before, nor that it does not. */
  readonly unproven?: true
  /** Names of the devices that wrote the two, as far as they are proven and may be read. */
  readonly devices?: readonly [string | undefined, string | undefined]
}

/** A value as evidence. */
export function evidenceOf({ bytes, hash, value }: HeldValue): SignedEvidence {
  return { sequence: value.sequence, hash, value: toHex(bytes) }
}

/** The error for what a rollback, fork or unproven history forbids. */
export function rollbackError(rollback: Rollback): HoldfastError {
  const { offered, seen, evidence, unproven, devices } = rollback
  if (!evidence)
    return new HoldfastError(
      "ERR_ROLLBACK",
      `The servers offer version ${offered} of this tree, but version ${seen} was seen here before. ` +
        "They may have been restored from an old copy, or someone is hiding newer data. Ask the operator; " +
        "to accept the older version for reading only, use --accept-rollback; to go on from it for good, `holdfast seen forget`.",
      { ...rollback },
    )
  const [known, other] = evidence
  const name = (value: SignedEvidence) => {
    const device = devices?.[value === known ? 0 : 1]?.replace(/\p{C}/gu, "?")
    return `version ${value.sequence} (${value.hash.slice(0, 16)}${device ? `, written by ${device}` : ""})`
  }
  if (unproven)
    return new HoldfastError(
      "ERR_UNPROVEN",
      `Nothing proves that ${name(other)} of this tree, which the servers offer, goes on from ${name(known)}, which was seen here ` +
        "before. The list of the versions between them cannot be read or leaves it out, or the tree was last written by a Holdfast of " +
        "before such lists. Changes that you saw may have been taken out of its history. Ask who else writes to it. " +
        "To look, without writing, use --accept-rollback; to go on from it for good, --accept-history: `holdfast seen list` then shows that step.",
      { ...rollback },
    )
  return new HoldfastError(
    "ERR_FORK",
    `The servers show two histories of this tree: ${name(other)} ` +
      `${other.sequence === known.sequence ? "is another one than" : "does not follow"} ${name(known)} ` +
      "that they acknowledged before. They show different data to different people, or were " +
      "restored from an old copy and written since. Nothing was merged or changed. Ask the operator: the error's details " +
      "(--json) hold both signed values as evidence; they are encrypted and may be handed on. " +
      "To read what the servers offer now, without writing, use --accept-rollback; to go on from it for good, `holdfast seen forget`.",
    { ...rollback },
  )
}
