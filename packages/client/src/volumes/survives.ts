/** What a volume survives. */
import type { VolumeDescription } from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"

/** So many places may be lost, and so many of them may lie, without harm to reading. */
export interface Survival {
  readonly lost: number
  readonly lying: number
}

/** What a volume of `places` places survives: its shares and its registers both. */
export function survivalOf(
  { coding: { k, happy, n }, registerMode }: Pick<VolumeDescription, "coding" | "registerMode">,
  places: number,
): Survival {
  const lost = Math.max(0, Math.min(n - k, places - quorumOf(places, registerMode)))
  // Of the `happy` places that took a put, those that lie keep nothing; k of the others must be left.
  return { lost, lying: registerMode === "byzantine" ? Math.min(lost, happy - k) : 0 }
}

/** `survives 2 lost, 1 lying`. */
export function survivalText({ lost, lying }: Survival): string {
  return `survives ${lost} lost, ${lying} lying`
}
