/** What is said of a snapshot that is not there. */
import { HoldfastError } from "@holdfast/core"
import type { Volume } from "./volume.ts"

/** The error for a snapshot that is not there, with those that are. */
export async function noSnapshot(
  volume: Pick<Volume, "label" | "listSnapshots">,
  name: string,
): Promise<HoldfastError> {
  const names = (await volume.listSnapshots()).map((snapshot) => snapshot.name)
  const there =
    names.length === 0
      ? `It has none: "holdfast snapshot create ${volume.label} ${name}" makes one.`
      : `There ${names.length === 1 ? "is" : "are"} ${names.slice(0, mostNamed).join(", ")}${names.length > mostNamed ? ` and ${names.length - mostNamed} more` : ""}.`
  const message = `${volume.label} has no snapshot "${name}". ${there}`
  return new HoldfastError("ERR_NOT_FOUND", message, { snapshot: name })
}

const mostNamed = 20
