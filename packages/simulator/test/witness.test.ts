/** The claims of the simulation where one server keeps registers and never shares. Without the roles, who count on shares everywhere. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { commandOf, failureReport, parseOptions, roleKinds, simulate, usualSteps } from "../src/index.ts"

test("every claim holds with a witness among the servers, and it holds no share", async () => {
  for (let i = 0; i < 8; i++) {
    const result = await simulate({ seed: `witness-${i}`, steps: usualSteps, without: roleKinds, witness: true })
    if (result.failure) assert.fail(await failureReport(result, 60_000))
    assert.ok(Object.values(result.done).some((count) => count > 0))
  }
})

test("the command that repeats a run has its witness", () => {
  const command = commandOf({ seed: "1", steps: 5, witness: true })
  assert.match(command, /--witness/)
  assert.equal(parseOptions(command.split(" -- ")[1]!.split(" ")).witness, true)
})
