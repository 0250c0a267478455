/** Who takes away in the model of a bucket: the device that compacts its account's marks, and the sweeper of shares. */
import { type BucketRules, type BucketScope, type BucketState, bucketStep, markKey, numberOf } from "./bucket-state.ts"
import type { Step } from "./explore.ts"

/** What the compacting device of account A may do. */
export function* compact(
  s: BucketState,
  { retires, ascending }: BucketRules,
  { compactions }: BucketScope,
): Generator<Step<BucketState>> {
  const { c } = s
  const go = (label: string, change: (t: BucketState) => void) => bucketStep(s, `C: ${label}`, change)
  switch (c.phase) {
    case "list": {
      const listed = s.marks.filter((key) => key.startsWith("a"))
      if (listed.length > 0)
        yield go(`lists A's marks: ${listed}`, (t) => {
          t.c.listed = listed
          t.c.phase = retires ? "retire" : "read"
        })
      break
    }
    case "retire":
      yield go(`retires ${c.listed}`, (t) => {
        t.retired = c.listed
        t.c.phase = "read"
      })
      break
    case "read":
      yield go(`reads A's register here: ${s.needs.a ? "needs X" : "does not need X"}`, (t) => {
        t.c.live = s.needs.a
        t.c.phase = "segment"
      })
      break
    case "segment":
      yield go(c.live ? "puts a new mark object that names X" : "has nothing to name", (t) => {
        const listed = c.listed.map(numberOf)
        const number = ascending ? Math.max(...s.marks.map(numberOf), ...listed) + 1 : Math.min(...listed) - 1
        if (c.live) t.marks.push(markKey("a", number, "c"))
        t.c.phase = "delete"
      })
      break
    case "delete": {
      const left = c.listed.filter((key) => s.marks.includes(key))
      for (const key of left)
        yield go(`deletes marks ${key}`, (t) => {
          t.marks = t.marks.filter((other) => other !== key)
        })
      if (left.length === 0)
        yield go("ends", (t) => {
          t.retired = null
          t.c = { phase: c.runs < compactions ? "list" : "end", listed: [], live: false, runs: c.runs + 1 }
        })
    }
  }
}

/** What the sweeper may do. */
export function* sweep(
  s: BucketState,
  { twoPhase }: BucketRules,
  { sweeps }: BucketScope,
): Generator<Step<BucketState>> {
  const me = s.s
  const go = (label: string, change: (t: BucketState) => void) => bucketStep(s, `S: ${label}`, change)
  if (me.phase === "scan" || me.phase === "scan again") yield* scan(s, twoPhase)
  else if (me.phase === "delete") {
    // A request may come twice: what is put back under its key goes again.
    for (const at of me.victims)
      if (s.x[at])
        yield go(`deletes X.${at}`, (t) => {
          t.x[at] = false
        })
    if (me.victims.every((at) => !s.x[at]))
      yield go("all is deleted", (t) => {
        t.s.phase = "pardon"
      })
  } else if (me.phase === "pardon")
    yield go("removes the list of what is condemned", (t) => {
      t.condemned = null
      t.s =
        me.runs < sweeps
          ? { phase: "scan", at: "", named: false, victims: [], runs: me.runs + 1 }
          : { ...me, phase: "end" }
    })
}

/** Reads the marks of all accounts, one key after another. */
function* scan(s: BucketState, twoPhase: boolean): Generator<Step<BucketState>> {
  const me = s.s
  const isFirst = me.phase === "scan"
  const go = (label: string, change: (t: BucketState) => void) => bucketStep(s, `S: ${label}`, change)
  const generations = s.x.flatMap((present, at) => (present ? [at] : []))
  if (isFirst && generations.length === 0) return
  const key = s.marks.find((other) => other > me.at)
  if (key && me.at !== key.slice(0, 3))
    yield go(`its list has come to just before ${key}`, (t) => {
      t.s.at = key.slice(0, 3)
    })
  if (key) yield go(`reads marks ${key}: they name X`, (t) => void Object.assign(t.s, { at: key, named: true }))
  else if (me.named)
    yield go("X is needed: ends", (t) => {
      t.s.phase = isFirst ? "end" : "pardon"
    })
  else if (!isFirst || !twoPhase)
    yield go("no marks name X", (t) => {
      t.s.phase = "delete"
      if (isFirst) t.s.victims = generations
    })
  else
    yield go(`no marks name X: condemns X.${generations}`, (t) => {
      t.condemned = generations
      t.s = { ...me, phase: "scan again", at: "", victims: generations }
    })
}
