/** What a node does not take of what clients store, for its operator: they store elsewhere and go on, and nobody else would say it here. */
import type { TenantBackend } from "@holdfast/backends/directory"

/** What was not taken. */
export interface NotTaken {
  readonly what: "share" | "mark" | "register"
  /** `full` and `quota` for want of room; `io` for the disk; `bad-share` and `refused` for what no node would take. */
  readonly why: string
  readonly count: number
  /** In words. */
  readonly message: string
}

/** The same backend; `onNotTaken` hears of what it does not take. */
export function tellingNotTaken(backend: TenantBackend, onNotTaken: (notTaken: NotTaken) => void): TenantBackend {
  const tell = (what: NotTaken["what"], refusals: readonly { readonly code: string; readonly message: string }[]) => {
    for (const why of new Set(refusals.map(({ code }) => code))) {
      const all = refusals.filter(({ code }) => code === why)
      onNotTaken({ what, why, count: all.length, message: all[0]!.message })
    }
  }
  return {
    ...backend,
    async putShares(...args) {
      const outcomes = await backend.putShares(...args)
      tell(
        "share",
        outcomes.flatMap((outcome) => (outcome.ok ? [] : outcome)),
      )
      return outcomes
    },
    async markShares(...args) {
      const outcomes = await backend.markShares(...args)
      tell(
        "mark",
        outcomes.flatMap((outcome) => (outcome.ok ? [] : outcome)),
      )
      return outcomes
    },
    async proposeRegisters(...args) {
      const outcomes = await backend.proposeRegisters(...args)
      const refused = outcomes.flatMap((outcome) =>
        outcome.accepted || outcome.current || outcome.marksGone
          ? []
          : { code: outcome.code ?? "refused", message: outcome.message },
      )
      tell("register", refused)
      return outcomes
    },
  }
}
