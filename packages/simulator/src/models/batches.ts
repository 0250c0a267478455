/**
 * Marks of one account at one place: two commands need the same chunk X, U in a tree that is in the account's list, T in a tree
 * that it adds to the list first. The collector takes a token, reads the list, then the roots here, then takes away the marks
 * that are older than its token.
 */
import { asTheyAre, type ModelCase } from "./case.ts"
import { clone, explore, type Model, type Step } from "./explore.ts"

interface Rules {
  /** Each command has a batch of marks of its own; otherwise the account has one mark, with the batch that made it last. */
  readonly batchPerCommand: boolean
  /** The token comes before the list; otherwise after it. */
  readonly tokenFirst: boolean
  /** A tree is in the account's list before the first chunk is put for it; otherwise after its first commit. */
  readonly rootFirst: boolean
}

const rules: Rules = { batchPerCommand: true, tokenFirst: true, rootFirst: true }
const commands = ["u", "t"] as const
type CommandName = (typeof commands)[number]
/** Of a mark: none, one before the collector's token, one after it. */
type Age = 0 | 1 | 2
type Phase = "list" | "put" | "value" | "done"

interface State {
  isStored: boolean
  marks: Record<CommandName, Age>
  /** Batches of which a mark was taken away: the place takes no value from them. */
  broken: Record<CommandName, boolean>
  needs: Record<CommandName, boolean>
  isListed: boolean
  phase: Record<CommandName, Phase>
  collector: { step: number; sawListed: boolean; live: boolean }
}

/** The cases of this model. */
export const batchCases: readonly ModelCase[] = [
  batchCase(asTheyAre, {}),
  batchCase("one mark of an account for all its commands", { batchPerCommand: false }),
  batchCase("the list is read before the token", { tokenFirst: false }),
  batchCase("a tree is listed after its first commit", { rootFirst: false }),
]

function batchCase(variant: string, weaker: Partial<Rules>): ModelCase {
  return {
    model: "batches",
    variant,
    scope: "U, T and collector at 1 place",
    ...(variant === asTheyAre ? {} : { breaks: "I1" as const }),
    explore: () => explore(batchModel({ ...rules, ...weaker })),
  }
}

function batchModel({ batchPerCommand, tokenFirst, rootFirst }: Rules): Model<State> {
  const init: State = {
    isStored: false,
    marks: { u: 0, t: 0 },
    broken: { u: false, t: false },
    needs: { u: false, t: false },
    isListed: false,
    phase: { u: "put", t: rootFirst ? "list" : "put" },
    collector: { step: 0, sawListed: false, live: false },
  }
  const order = tokenFirst ? ["token", "list", "roots"] : ["list", "token", "roots"]

  function* command(s: State, who: CommandName): Generator<Step<State>> {
    const name = who.toUpperCase()
    switch (s.phase[who]) {
      case "list":
        yield step(s, `${name}: adds its tree to the list`, (t) => {
          t.isListed = true
          t.phase[who] = rootFirst ? "put" : "done"
        })
        break
      case "put":
        yield step(s, `${name}: puts X and marks it`, (t) => {
          t.isStored = true
          if (!batchPerCommand) t.marks = { u: 0, t: 0 }
          t.marks[who] = 2
          t.broken[who] = false
          t.phase[who] = "value"
        })
        break
      case "value":
        if (s.broken[who])
          yield step(s, `${name}: value refused, the mark is gone`, (t) => {
            t.phase[who] = "put"
          })
        else
          yield step(s, `${name}: value taken, its batch stamped: ACKNOWLEDGED`, (t) => {
            if (t.marks[who] > 0) t.marks[who] = 2
            t.needs[who] = true
            t.phase[who] = !rootFirst && who === "t" ? "list" : "done"
          })
    }
  }

  function* collect(s: State): Generator<Step<State>> {
    const { collector } = s
    const now = order[collector.step]
    if (now === "token")
      yield step(s, "C: takes a token", (t) => {
        for (const who of commands) if (t.marks[who] === 2) t.marks[who] = 1
        t.collector.step++
      })
    if (now === "list")
      yield step(s, `C: the list ${s.isListed ? "names" : "does not name"} T's tree`, (t) => {
        t.collector.sawListed = s.isListed
        t.collector.step++
      })
    if (now === "roots") {
      const live = s.needs.u || (collector.sawListed && s.needs.t)
      yield step(s, `C: the roots ${live ? "need" : "do not need"} X`, (t) => {
        t.collector.live = live
        t.collector.step++
      })
    }
    if (collector.step < order.length || collector.live) return
    for (const who of commands)
      if (s.marks[who] === 1)
        yield step(s, `C: takes ${who.toUpperCase()}'s mark away`, (t) => {
          t.marks[who] = 0
          t.broken[who] = true
          t.isStored = commands.some((other) => t.marks[other] > 0)
        })
  }

  return {
    init,
    *next(s) {
      for (const who of commands) yield* command(s, who)
      yield* collect(s)
    },
    *breaches(s) {
      for (const who of commands)
        if (s.needs[who] && !s.isStored)
          yield { invariant: "I1", why: `${who.toUpperCase()} was told that X is stored, and it is gone` }
      const isMarked = commands.some((who) => s.marks[who] > 0)
      if (s.isStored && !isMarked) yield { invariant: "I3", why: "X is kept without a mark" }
    },
  }
}

function step(state: State, label: string, change: (next: State) => void): Step<State> {
  const next = clone(state)
  change(next)
  return [label, next]
}
