/** A coordinator as a process of its own, to be killed: node process.ts DIR PORT. Says its port on stdout. */
import { createLogger } from "@holdfast/network"
import { startCoordinator } from "../src/index.ts"

const [dir, port] = process.argv.slice(2)
const coordinator = await startCoordinator({
  dir: dir!,
  host: "127.0.0.1",
  port: Number(port),
  coding: { k: 3, happy: 4, n: 5 },
  name: "killed grid",
  logger: createLogger({ stream: process.stderr, level: "error" }),
})
process.stdout.write(`${coordinator.port}\n`)
