/** The question whether a change of the grid is the user's will, on the terminal. */
import { closeSync, writeSync } from "node:fs"
import { shownLine } from "@holdfast/core"
import type { GridOffer } from "@holdfast/network"
import { openTerminal } from "./passphrase.ts"
import type { Screen } from "./screen.ts"

/** Shows what would change and asks. Undefined when there is no terminal, or the answer waits. */
export async function askOffer(
  { grid, changes }: GridOffer,
  screen: Pick<Screen, "tell">,
): Promise<boolean | undefined> {
  const lines = changes.map(({ text }) => `  - ${text}`)
  screen.tell(["holdfast: the grid's coordinator changed what this profile relies on:", ...lines])
  let opened: ReturnType<typeof openTerminal>
  try {
    opened = openTerminal("There is no terminal to ask on.")
  } catch {
    return undefined
  }
  const { terminal, screen: output } = opened
  const question = `Did the grid's operator tell you so? Take description ${grid.serial}? [yes/no/later] `
  writeSync(output, shownLine(question))
  try {
    const [line] = await new Promise<string[]>((resolve) => {
      terminal.setEncoding("utf8")
      terminal.once("data", (text: string) => resolve([text]))
      terminal.once("end", () => resolve([""]))
      terminal.once("error", () => resolve([""]))
    })
    const word = line!.trim().toLowerCase()
    if (word === "yes" || word === "y") return true
    return word === "no" || word === "n" ? false : undefined
  } finally {
    closeSync(output)
    terminal.destroy()
  }
}
