/** What runs of a local grid, written by its supervisor and read by commands. */
import { readFile } from "node:fs/promises"
import { isRunning, stopProcess } from "@holdfast/client/profile"
import { integer } from "@holdfast/core"
import * as v from "valibot"
import { gridFiles } from "./config.ts"

const markSchema = v.object({ pid: integer(1), started: v.string() })
const maintenanceSchema = v.object({ profile: v.string(), why: v.optional(v.string()) })
const stateSchema = v.object({
  supervisor: markSchema,
  /** The profile whose trees are looked after beside the grid, and why that is not done for the moment; absent where it is turned off. */
  maintenance: v.optional(maintenanceSchema),
  /** Where the status page is; its usual port may be taken. */
  statusPort: v.optional(integer()),
  parts: v.array(
    v.object({
      name: v.string(),
      port: integer(),
      pid: v.optional(integer(1)),
      started: v.optional(v.string()),
      restarts: integer(),
    }),
  ),
})

/** What is looked after beside a local grid. */
export type GridMaintenance = v.InferOutput<typeof maintenanceSchema>

/** The processes of a local grid. */
export type GridState = v.InferOutput<typeof stateSchema>

const stopGraceMs = 15_000

/** The state that the last supervisor wrote; undefined when none did. */
export async function loadState(dir: string): Promise<GridState | undefined> {
  try {
    return v.parse(stateSchema, JSON.parse(await readFile(gridFiles(dir).supervisor, "utf8")))
  } catch {
    return undefined // no grid was started here yet
  }
}

/** Ends parts that a killed supervisor left behind; gives their number. */
export async function stopLeftovers(dir: string): Promise<number> {
  const parts = (await loadState(dir))?.parts ?? []
  const marks = parts.flatMap(({ pid, started }) => (pid && started !== undefined ? [{ pid, started }] : []))
  const running = await Promise.all(marks.map(isRunning))
  const left = marks.filter((_, i) => running[i])
  await Promise.all(left.map((mark) => stopProcess(mark, stopGraceMs)))
  return left.length
}
