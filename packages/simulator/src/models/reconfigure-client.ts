/** The clients of the model of moving a volume: they read a quorum, write what follows, and go on where they are told. */
import { clone, type Step } from "./explore.ts"
import {
  clientOf,
  type MoveClient,
  type MoveRules,
  type MoveState,
  names,
  placesOf,
  quorum,
  serves,
  showValue,
  union,
} from "./reconfigure-state.ts"

/** What client `j` may do. */
export function* act(s: MoveState, j: number, rules: MoveRules): Generator<Step<MoveState>> {
  const me = s.clients[j]!
  if (me.phase === "done" || me.phase === "gave up") return
  const mine = placesOf[me.epoch]
  if (countSaid(me, "sealed") > mine.length - quorum) {
    yield step(s, j, "is told of the new description", (_, client) => Object.assign(client, clientOf(2)))
    return
  }
  for (const i of mine) {
    const serving = serves(s.places[i]!, me.epoch, rules)
    if (serving === "not yet") continue
    if (me.phase === "read") yield* ask(s, j, i, serving)
    else yield* tell(s, j, i, serving)
  }
  if (me.phase === "read") yield* concludeRead(s, j, rules)
  else yield* concludeWrite(s, j)
}

function* ask(s: MoveState, j: number, i: number, serving: "yes" | "sealed"): Generator<Step<MoveState>> {
  const me = s.clients[j]!
  if (i in me.heard || me.said[i] === "sealed") return
  const { value } = s.places[i]!
  if (serving === "sealed")
    yield step(s, j, `reads ${i}: sealed`, (_, client) => {
      client.said[i] = "sealed"
    })
  else
    yield step(s, j, `reads ${i}: ${showValue(value)}`, (_, client) => {
      client.heard[i] = value
    })
}

function* tell(s: MoveState, j: number, i: number, serving: "yes" | "sealed"): Generator<Step<MoveState>> {
  const { said, value } = s.clients[j]!
  if (i in said) return
  const held = s.places[i]!.value
  if (serving === "sealed")
    yield step(s, j, `writes ${i}: sealed`, (_, client) => {
      client.said[i] = "sealed"
    })
  else if (value.sequence > held.sequence)
    yield step(s, j, `writes ${showValue(value)} to ${i}`, (t, client) => {
      t.places[i]!.value = value
      client.said[i] = "accepted"
    })
  else
    yield step(s, j, `writes ${showValue(value)} to ${i}: refused, it has ${showValue(held)}`, (_, client) => {
      client.said[i] = "refused"
    })
}

/** A quorum must hold the newest sequence before it counts as read; places behind are brought up to it. */
function* concludeRead(s: MoveState, j: number, rules: MoveRules): Generator<Step<MoveState>> {
  const me = s.clients[j]!
  const heard = Object.entries(me.heard)
  if (heard.length < quorum) return
  const top = union(heard.map(([, value]) => value))
  if (heard.filter(([, value]) => value.sequence === top.sequence).length >= quorum) {
    yield step(s, j, `has read ${showValue(top)}`, (_, client) => {
      client.value = { sequence: top.sequence + 1, operations: [top.operations.reduce((a, b) => a | b, 1 << j)] }
      Object.assign(client, { phase: "write", said: {}, heard: {} })
    })
    return
  }
  for (const [text, value] of heard) {
    const i = Number(text)
    const place = s.places[i]!
    if (value.sequence >= top.sequence || serves(place, me.epoch, rules) !== "yes") continue
    yield step(s, j, `brings ${i} up to ${top.sequence}`, (t, client) => {
      if (place.value.sequence < top.sequence)
        t.places[i]!.value = { sequence: top.sequence, operations: [top.operations[0]!] }
      client.heard[i] = t.places[i]!.value
    })
  }
}

function* concludeWrite(s: MoveState, j: number): Generator<Step<MoveState>> {
  const me = s.clients[j]!
  const spare = placesOf[me.epoch].length - quorum
  const accepted = countSaid(me, "accepted")
  if (accepted >= quorum)
    yield step(s, j, `ACKNOWLEDGED ${showValue(me.value)}`, (_, client) =>
      Object.assign(client, { phase: "done", said: {}, heard: {} }),
    )
  else if (Object.keys(me.said).length - accepted > spare && countSaid(me, "sealed") <= spare)
    yield step(s, j, "lost the race", (_, client) => Object.assign(client, { ...clientOf(me.epoch), phase: "gave up" }))
}

function countSaid({ said }: MoveClient, what: MoveClient["said"][number]): number {
  return Object.values(said).filter((answer) => answer === what).length
}

function step(
  s: MoveState,
  j: number,
  label: string,
  change: (t: MoveState, client: MoveClient) => void,
): Step<MoveState> {
  const t = clone(s)
  change(t, t.clients[j]!)
  return [`${names[j]}: ${label}`, t]
}
