/** Real coordinators on loopback with their state on disk, for these tests. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "node:test"
import { createLogger } from "@holdfast/network"
import { type Coordinator, type CoordinatorOptions, startCoordinator } from "../src/index.ts"

/** A directory that goes away with the test. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-coordinator-"))
  // A member that is closed only after this may still be writing there.
  t.after(() => rm(dir, { recursive: true, force: true, maxRetries: 20 }))
  return dir
}

/** A running coordinator, its state, and all it has logged. */
export interface Running extends Coordinator {
  readonly dir: string
  readonly logged: string[]
}

/** Starts a coordinator in `dir` (default: a new one); closed with the test unless closed before. */
export async function start(t: TestContext, options: Partial<CoordinatorOptions> = {}): Promise<Running> {
  const dir = options.dir ?? join(await temporaryDirectory(t), "coordinator")
  const logged: string[] = []
  const coordinator = await startCoordinator({
    dir,
    host: "127.0.0.1",
    port: 0,
    coding: { k: 3, happy: 4, n: 5 },
    name: "test grid",
    logger: createLogger({ stream: { write: (line: string) => logged.push(line) }, level: "debug" }),
    ...options,
  })
  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= coordinator.close()
    return closed
  }
  t.after(close)
  return { ...coordinator, close, dir, logged }
}
