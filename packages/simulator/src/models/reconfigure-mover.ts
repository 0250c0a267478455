/** The mover of the model of moving a volume: seal the old places, copy, then let the new ones serve. */
import { clone, type Step } from "./explore.ts"
import { type MoveRules, type MoveState, placesOf, quorum, showValue, union } from "./reconfigure-state.ts"

/** What the mover may do. */
export function* move(s: MoveState, rules: MoveRules): Generator<Step<MoveState>> {
  if (s.m.phase === "seal") yield* seal(s, rules)
  if (s.m.phase === "copy") yield* copy(s, rules)
  if (s.m.phase === "late seal") yield* sealLate(s)
  if (s.m.phase === "activate" && rules.activate)
    for (const i of placesOf[2])
      if (!s.places[i]!.active && s.m.done.includes(i))
        yield step(s, `activates ${i}`, (t) => void Object.assign(t.places[i]!, { epoch: 2, active: true }))
}

function* seal(s: MoveState, { seals, copyAfterSeal, activate, siblings }: MoveRules): Generator<Step<MoveState>> {
  for (const i of placesOf[1]) {
    if (i in s.m.heard) continue
    const { value } = s.places[i]!
    yield step(s, `${copyAfterSeal ? "seals and " : ""}reads ${i}: ${showValue(value)}`, (t) => {
      if (copyAfterSeal) t.places[i]!.epoch = 2
      if (copyAfterSeal && activate) t.places[i]!.active = false
      t.m.heard[i] = value
    })
  }
  const heard = Object.values(s.m.heard)
  if (heard.length < seals) return
  const top = union(heard)
  const chosen = siblings
    ? [top]
    : top.operations.map((operations) => ({ sequence: top.sequence, operations: [operations] }))
  for (const value of chosen)
    yield step(s, `copies ${showValue(value)}`, (t) => void Object.assign(t.m, { phase: "copy", value, heard: {} }))
}

function* copy(s: MoveState, { activate, copyAfterSeal }: MoveRules): Generator<Step<MoveState>> {
  const { done, value } = s.m
  for (const i of placesOf[2]) {
    if (done.includes(i)) continue
    yield step(s, `copies to ${i}`, (t) => {
      const place = t.places[i]!
      if (value.sequence > place.value.sequence) place.value = value
      else if (value.sequence === place.value.sequence) place.value = union([place.value, value])
      t.m.done = [...done, i].sort()
      if (activate && copyAfterSeal) place.epoch = 2
    })
  }
  if (done.length >= quorum)
    yield step(s, "ends copying", (t) => {
      t.m.phase = copyAfterSeal ? "activate" : "late seal"
    })
}

/** Of the weaker rule that copies first. */
function* sealLate(s: MoveState): Generator<Step<MoveState>> {
  for (const i of placesOf[1])
    if (s.places[i]!.epoch === 1)
      yield step(s, `seals ${i}`, (t) => void Object.assign(t.places[i]!, { epoch: 2, active: false }))
  if (placesOf[1].filter((i) => s.places[i]!.epoch === 2).length >= quorum)
    yield step(s, "ends sealing", (t) => {
      t.m.phase = "activate"
    })
}

function step(s: MoveState, label: string, change: (t: MoveState) => void): Step<MoveState> {
  const t = clone(s)
  change(t)
  return [`M: ${label}`, t]
}
