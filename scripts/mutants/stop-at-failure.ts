/** A reporter of node:test that ends the process with the first test that fails: nothing else is asked. */

/** Reads what the runner tells. */
export default async function* stopAtFailure(events: AsyncIterable<{ type: string; data: { todo?: unknown } }>) {
  for await (const { type, data } of events) if (type === "test:fail" && data.todo === undefined) process.exit(1)
  yield ""
}
