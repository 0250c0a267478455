/** The writers of the model of marks: W puts X or finds it, B copies it by reference; then each commits. */
import { clone, type Step } from "./explore.ts"
import { ageOfNewMark, type MarkRules, type MarkState, type Place, places, quorum } from "./marks-places.ts"

/** How a writer works. */
export interface WriterOptions {
  readonly rules: MarkRules
  readonly lostAnswers: boolean
  /** X is not stored yet. */
  readonly isNew: boolean
}

type Who = "w" | "b"
const happy = 2

/** What a writer may do. */
export function* write(s: MarkState, who: Who, options: WriterOptions): Generator<Step<MarkState>> {
  if (s[who].phase !== "done") yield* store(s, who, options)
  if (s[who].phase === "confirm") yield* confirm(s, who, options)
  if (s[who].phase === "commit") yield* commit(s, who, options)
  if (s[who].phase === "done") yield* propose(s, who, options) // requests that are late
}

/** Puts or marks X. Requests may arrive until the writer is done, as long as no answer was heard. */
function* store(s: MarkState, who: Who, { rules, lostAnswers, isNew }: WriterOptions): Generator<Step<MarkState>> {
  const me = s[who]
  const marksAtOnce = isNew || rules.atomicMark
  for (const i of places) {
    if (me.heard[i] === "-")
      for (const lost of lostAnswers ? [false, true] : [false]) {
        const t = clone(s)
        const place = t.places[i]!
        const ok = isNew || place.x
        if (ok) {
          place.x = true
          if (marksAtOnce) mark(t, i, who, rules)
        }
        if (!lost) t[who].heard = withLetter(me.heard, i, ok ? "y" : "n")
        yield [
          `${name(who)}: ${isNew ? "put" : "mark"} X at ${i}: ${ok ? "ok" : "not there"}${lost ? " (answer lost)" : ""}`,
          t,
        ]
      }
    if (!marksAtOnce && me.heard[i] === "y") {
      const t = clone(s)
      if (t.places[i]!.x) mark(t, i, who, rules)
      t[who].heard = withLetter(me.heard, i, "Y")
      yield [`${name(who)}: mark X at ${i}, which was seen there before`, t]
    }
  }
  if (me.phase !== "store" || count(me.heard, marksAtOnce ? "y" : "Y") < happy) return
  const t = clone(s)
  t[who].phase = rules.stamp === "before" ? "confirm" : "commit"
  if (rules.stamp === "before") t[who].heard = me.heard.replaceAll(/y/gi, "s")
  yield [`${name(who)}: X is on ${happy} places`, t]
}

function* confirm(s: MarkState, who: Who, { rules }: WriterOptions): Generator<Step<MarkState>> {
  const me = s[who]
  for (const i of places) {
    if (me.heard[i] !== "s") continue
    const t = clone(s)
    const { x } = t.places[i]!
    if (x) mark(t, i, who, rules)
    t[who].heard = withLetter(me.heard, i, x ? "y" : "n")
    yield [`${name(who)}: confirm X at ${i}: ${x ? "ok" : "gone"}`, t]
  }
  if (count(me.heard, "y") < happy) return
  const t = clone(s)
  t[who].phase = "commit"
  yield [`${name(who)}: X is confirmed on ${happy} places`, t]
}

function* commit(s: MarkState, who: Who, options: WriterOptions): Generator<Step<MarkState>> {
  yield* propose(s, who, options)
  const { value } = s[who]
  const isVouched = options.rules.acknowledge === "quorum" || count(value, "v") >= happy
  if (count(value, "vt") < quorum || !isVouched) return
  const t = clone(s)
  t[who].phase = "done"
  yield [`${name(who)}: ACKNOWLEDGED`, t]
}

/** Proposes the value that needs X. A refused proposal is repeated. */
function* propose(s: MarkState, who: Who, { rules, lostAnswers }: WriterOptions): Generator<Step<MarkState>> {
  const me = s[who]
  for (const i of places) {
    if (me.value[i] !== "-" && me.value[i] !== "r") continue
    for (const lost of lostAnswers ? [false, true] : [false]) {
      const t = clone(s)
      const place = t.places[i]!
      const isIntact = place.x && markOf(place, who, rules) > 0
      let answer: "v" | "t" | "r" = "t"
      if (rules.stamp === "with the value" && "yY".includes(me.heard[i]!) && !isIntact) answer = "r"
      else {
        place[who === "w" ? "needsA" : "needsB"] = true
        if (rules.stamp === "with the value" && isIntact) {
          mark(t, i, who, rules)
          answer = "v"
        }
      }
      if (!lost) t[who].value = withLetter(me.value, i, answer)
      const words = { v: "taken, mark intact", t: "taken", r: "refused, the mark is gone" }[answer]
      yield [`${name(who)}: value that needs X to ${i}: ${words}${lost ? " (answer lost)" : ""}`, t]
    }
  }
}

function mark(t: MarkState, i: number, who: Who, { accounts }: MarkRules): void {
  t.places[i]![accounts && who === "b" ? "b" : "a"] = who === "w" || !accounts ? ageOfNewMark(t, i) : 2
}

function markOf(place: Place, who: Who, { accounts }: MarkRules): number {
  return place[accounts && who === "b" ? "b" : "a"]
}

function name(who: Who): string {
  return who.toUpperCase()
}

function withLetter(text: string, i: number, letter: string): string {
  return text.slice(0, i) + letter + text.slice(i + 1)
}

function count(text: string, letters: string): number {
  return [...text].filter((letter) => letters.includes(letter)).length
}
