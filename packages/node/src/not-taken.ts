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

/** Who hears of what is not taken. */
interface Hearers {
  /** The operator: all of it. */
  onNotTaken(notTaken: NotTaken): void
  /** A message as the client may know it. */
  told(message: string): string
}

/** The same backend, whose operator hears of what it does not take, and its client what he may know. */
export function tellingNotTaken(backend: TenantBackend, { onNotTaken, told }: Hearers): TenantBackend {
  const tell = (what: NotTaken["what"], refusals: readonly { readonly code: string; readonly message: string }[]) => {
    for (const why of new Set(refusals.map(({ code }) => code))) {
      const all = refusals.filter(({ code }) => code === why)
      onNotTaken({ what, why, count: all.length, message: all[0]!.message })
    }
  }
  const toldOf = <T extends { readonly message: string }>(refusal: T): T => ({
    ...refusal,
    message: told(refusal.message),
  })
  return {
    ...backend,
    async putShares(...args) {
      const outcomes = await backend.putShares(...args)
      tell(
        "share",
        outcomes.flatMap((outcome) => (outcome.ok ? [] : outcome)),
      )
      return outcomes.map((outcome) => (outcome.ok ? outcome : toldOf(outcome)))
    },
    async markShares(...args) {
      const outcomes = await backend.markShares(...args)
      tell(
        "mark",
        outcomes.flatMap((outcome) => (outcome.ok ? [] : outcome)),
      )
      return outcomes.map((outcome) => (outcome.ok ? outcome : toldOf(outcome)))
    },
    async proposeRegisters(...args) {
      const outcomes = await backend.proposeRegisters(...args)
      const refused = outcomes.flatMap((outcome) =>
        outcome.accepted || outcome.current || outcome.marksGone
          ? []
          : { code: outcome.code ?? "refused", message: outcome.message },
      )
      tell("register", refused)
      return outcomes.map((outcome) => (outcome.accepted ? outcome : toldOf(outcome)))
    },
  }
}
