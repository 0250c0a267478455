/** `gc` of a device, and what it freed. */
import type { Device } from "./device.ts"
import type { History } from "./history.ts"

/** What `gc` says it did. */
interface Collected {
  readonly shares: number
  readonly bytes: number
  readonly condemned: number
  readonly shared: number
  readonly young: number
  readonly problems: readonly unknown[]
  readonly unreadable: readonly unknown[]
}

/** Collects once, with the least grace there is: what each place spares by its own clock. */
export async function collect(device: Device, history: History): Promise<Collected | undefined> {
  const outcome = await device.call(["gc"])
  if (!outcome.isDone) return undefined
  const report = outcome.value as Collected
  history.note(`${device.name} gc: ${JSON.stringify(report)}`)
  history.add("gc: shares removed", report.shares)
  history.add("gc: bytes removed", report.bytes)
  history.add("gc: marks removed of what others hold too", report.shared)
  history.add("gc: objects condemned", report.condemned)
  if (report.problems.length > 0) history.add("gc: trees not looked through", report.problems.length)
  return report
}
