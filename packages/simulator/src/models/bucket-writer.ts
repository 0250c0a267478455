/** The writers of the model of a bucket: store, mark, look for what is condemned, commit, look at the marks again. */
import { type BucketRules, type BucketState, type BucketWriter, bucketStep, markKey, numberOf } from "./bucket-state.ts"
import type { Step } from "./explore.ts"

/** What a writer may do: W for account A, B for account B. */
export function* write(s: BucketState, who: "w" | "b", rules: BucketRules): Generator<Step<BucketState>> {
  const account = who === "w" ? "a" : "b"
  const me = s[who]
  const own = markKey(account, me.mark, who)
  const go = (label: string, change: (t: BucketState, me: BucketWriter) => void) =>
    bucketStep(s, `${who.toUpperCase()}: ${label}`, (t) => change(t, t[who]))
  switch (me.phase) {
    case "put": {
      const isThere = s.x.some(Boolean)
      yield go(isThere ? "X is there, nothing is sent" : "puts X", (t, me) => {
        if (!isThere) t.x[0] = true
        me.phase = "mark"
      })
      break
    }
    case "mark":
    case "mark again":
      yield go("puts marks that name X", (t, me) => {
        me.mark = Math.max(6, ...s.marks.map((key) => numberOf(key) + 1))
        t.marks.push(markKey(account, me.mark, who))
        if (me.phase === "mark") me.phase = rules.looks ? "look" : "value"
        else me.phase = rules.looks ? "look again" : "again"
      })
      break
    case "look":
    case "look again": {
      const condemned = s.condemned ?? []
      yield go(`lists what is condemned: ${condemned.length > 0 ? `X.${condemned}` : "nothing"}`, (_, me) => {
        me.generation = condemned.length > 0 ? Math.max(...condemned) + 1 : 0
        me.phase = me.phase === "look" ? "head" : "head again"
      })
      break
    }
    case "head":
    case "head again":
      yield go(...bringBack(s, me, rules))
      break
    case "value":
      yield go("puts the register's value", (t, me) => {
        t.needs[account] = true
        me.phase = rules.looksAgain ? "again" : "done"
      })
      break
    case "again": // a list begins with what is retired
      if (s.retired?.includes(own))
        yield go("its marks are being retired", (_, me) => {
          me.phase = "mark again"
        })
      else
        yield go("lists its marks: none is retired", (_, me) => {
          me.phase = "exists"
        })
      break
    case "exists":
      if (s.marks.includes(own))
        yield go("its marks are there: ACKNOWLEDGED", (_, me) => {
          me.phase = "done"
        })
      else
        yield go("its marks are gone", (_, me) => {
          me.phase = "mark again"
        })
  }
}

/** Looks for a generation that was not condemned, and puts a new one when there is none. */
function bringBack(
  s: BucketState,
  { phase, generation }: BucketWriter,
  { generations }: BucketRules,
): [label: string, change: (t: BucketState, me: BucketWriter) => void] {
  const isThere = generations
    ? s.x.some((present, at) => present && at >= generation)
    : s.x.some(Boolean) && generation === 0
  return [
    isThere ? "X is there still" : "X is condemned or gone, puts it",
    (t, me) => {
      const next = generations ? Math.max(generation, s.x.lastIndexOf(true) + 1, 1) : 0
      if (!isThere) t.x[Math.min(next, 2)] = true
      me.phase = phase === "head" ? "value" : "again"
    },
  ]
}
