/**
 * Keeps a running member up to date: announces it, renews its certificate in time, hears whose keys were revoked. The
 * coordinator may be away for as long as it likes; the member goes on with what it has.
 */
import { type Clock, isHoldfastError } from "@holdfast/core"
import type { Logger } from "./daemon/log.ts"
import { announce, renewIdentity, type TenantAdministration } from "./membership.ts"
import { fetchGrid } from "./pins/fetch.ts"
import { expiresSoon, type Identity, loadIdentity } from "./tls/identity.ts"

/** How a membership is kept. */
export interface MembershipOptions {
  /** What the node tells of itself. */
  readonly announcement: () => Promise<{ readonly address: string; readonly capacityBytes: number }>
  /** Called with all keys that are revoked, whenever the coordinator was asked. */
  readonly onRevoked: (keys: readonly string[]) => void
  /** Called with who may administer which tenant's accounts, each time the coordinator was asked. */
  readonly onAdministrators?: (tenants: readonly TenantAdministration[]) => Promise<void>
  /** Called with a renewed identity. */
  readonly onIdentity: (identity: Identity) => void
  readonly log: Logger
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Default ten seconds, within which a revoked member is cut off everywhere; after a failure the pause grows to it from two. */
  readonly everyMs?: number | undefined
}

const retryMs = 2_000
const warnEveryMs = 86_400_000

/** Runs until the signal. Failures are logged and tried again. */
export async function keepMembership(dir: string, options: MembershipOptions): Promise<void> {
  const { log, clock, signal, everyMs = 10_000 } = options
  let known = ""
  let warnedMs = 0
  const round = async () => {
    const present = await loadIdentity(dir, clock.nowMs())
    const identity = await renewIdentity(dir, present, { nowMs: clock.nowMs() })
    if (identity !== present) {
      options.onIdentity(identity)
      log.info("certificate-renewed", { endsMs: identity.notAfterMs })
    } else if (expiresSoon(identity, clock.nowMs()) && clock.nowMs() - warnedMs > warnEveryMs) {
      warnedMs = clock.nowMs()
      log.warn("certificate-ends-soon", { endsMs: identity.notAfterMs })
    }
    const announced = await announce(dir, await options.announcement())
    await options.onAdministrators?.(announced.administrators)
    const now = `${announced.epoch} ${announced.serial}`
    if (now === known) return
    const { grid, pins, fresh, warnings, offer } = await fetchGrid(dir, { identity, signal, nowMs: clock.nowMs() })
    options.onRevoked(pins.revoked)
    for (const cause of warnings) log.warn("grid-not-taken", { cause })
    if (offer) log.warn("grid-waits", { serial: offer.grid.serial, changes: offer.changes.map(({ text }) => text) })
    if (fresh) known = `${grid.epoch ?? 1} ${grid.serial}`
  }
  let retryAfterMs = retryMs
  while (!signal.aborted) {
    let pauseMs = everyMs
    try {
      await round()
      retryAfterMs = retryMs
    } catch (error) {
      if (signal.aborted) return
      log.warn("announce-failed", { code: codeOf(error), cause: String(error) })
      pauseMs = Math.min(everyMs, retryAfterMs)
      retryAfterMs *= 2
    }
    await clock.sleep(pauseMs, signal).catch(() => undefined)
  }
}

function codeOf(error: unknown): string {
  return isHoldfastError(error) ? error.code : "ERR_IO"
}
