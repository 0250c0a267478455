/** A node in a process of its own, to be killed. Prints its address. */
import { createLogger } from "@holdfast/network"
import { startNode } from "../src/index.ts"

const [identityDir, dir] = process.argv.slice(2)
const node = await startNode({
  identityDir: identityDir!,
  dir: dir!,
  host: "127.0.0.1",
  port: 0,
  reservedBytes: 0,
  monitor: false,
  scrub: false,
  logger: createLogger({ stream: { write: () => undefined } }),
})
process.stdout.write(`${node.address}\n`)
