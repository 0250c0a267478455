/** What runs of a local grid, written by its supervisor and read by commands. */
import { readFile } from "node:fs/promises"
import { isRunning, stopProcess } from "@holdfast/client/profile"
import { z } from "zod"
import { gridFiles } from "./config.ts"

const markSchema = z.object({ pid: z.number().int().positive(), started: z.string() })
const maintenanceSchema = z.object({ profile: z.string(), why: z.string().optional() })
const stateSchema = z.object({
  supervisor: markSchema,
  /** The profile whose trees are looked after beside the grid, and why that is not done for the moment; absent where it is turned off. */
  maintenance: maintenanceSchema.optional(),
  /** Where the status page is; its usual port may be taken. */
  statusPort: z.number().int().optional(),
  parts: z.array(
    z.object({
      name: z.string(),
      port: z.number().int(),
      pid: z.number().int().positive().optional(),
      started: z.string().optional(),
      restarts: z.number().int(),
    }),
  ),
})

/** What is looked after beside a local grid. */
export type GridMaintenance = z.infer<typeof maintenanceSchema>

/** The processes of a local grid. */
export type GridState = z.infer<typeof stateSchema>

const stopGraceMs = 15_000

/** The state that the last supervisor wrote; undefined when none did. */
export async function loadState(dir: string): Promise<GridState | undefined> {
  try {
    return stateSchema.parse(JSON.parse(await readFile(gridFiles(dir).supervisor, "utf8")))
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
