/** The rules and the state that the parts of the model of moving a volume share. */

/** The rules that the cases weaken one by one. */
export interface MoveRules {
  /** How many old places must be sealed before values are copied. */
  readonly seals: number
  /** Values are read together with the seal; otherwise copied before it. */
  readonly copyAfterSeal: boolean
  /** New places serve when a quorum of them has the copies; otherwise as soon as the description is out. */
  readonly activate: boolean
  /** All values of the highest sequence are copied; otherwise one of them. */
  readonly siblings: boolean
  /** A place tells a client with an old description so, instead of serving it. */
  readonly checks: boolean
}

/** The rules as they are. */
export const moveRules: MoveRules = { seals: 2, copyAfterSeal: true, activate: true, siblings: true, checks: true }

/** Of a description. */
export type Epoch = 1 | 2

/** The places of each epoch. */
export const placesOf: Readonly<Record<Epoch, readonly number[]>> = { 1: [0, 1, 2], 2: [2, 3, 4] }
/** Places whose answers are enough for a register. */
export const quorum = 2
/** What clients are called. */
export const names = ["W", "V"] as const

/** A register's value: its sequence, and the operations of each sibling, a bit for each client. */
export interface Value {
  sequence: number
  operations: number[]
}

/** What a place holds. */
export interface MovePlace {
  epoch: Epoch
  active: boolean
  value: Value
}

/** A client that reads, then writes what follows. */
export interface MoveClient {
  epoch: Epoch
  phase: "read" | "write" | "done" | "gave up"
  /** What each place said of the register. */
  heard: Record<number, Value>
  said: Record<number, "accepted" | "refused" | "sealed">
  value: Value
}

/** A state of the model. */
export interface MoveState {
  places: MovePlace[]
  clients: MoveClient[]
  m: { phase: string; heard: Record<number, Value>; value: Value; done: number[] }
}

/** A client that begins, with the description of `epoch`. */
export function clientOf(epoch: Epoch): MoveClient {
  return { epoch, phase: "read", heard: {}, said: {}, value: { sequence: 0, operations: [0] } }
}

/** What a place makes of a request made under `epoch`. */
export function serves(place: MovePlace, epoch: Epoch, { checks, activate }: MoveRules): "yes" | "sealed" | "not yet" {
  if (!checks) return "yes"
  if (epoch < place.epoch) return "sealed"
  if (epoch === 1) return "yes"
  return !activate || (place.epoch === 2 && place.active) ? "yes" : "not yet"
}

/** The siblings of the highest sequence. */
export function union(values: readonly Value[]): Value {
  const sequence = Math.max(0, ...values.map((value) => value.sequence))
  const operations = values.filter((value) => value.sequence === sequence).flatMap((value) => value.operations)
  return { sequence, operations: [...new Set(operations)].sort() }
}

/** A value for people. */
export function showValue({ sequence, operations }: Value): string {
  return `${sequence}{${operations.map((bits) => names.filter((_, j) => bits & (1 << j)).join("+") || "-")}}`
}
