/** A profile goes where another one moved a volume: weaker places only with its user's word, and it stays where it was without. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { createClient } from "./client.ts"

test("a volume that got weaker is followed only when the user accepts it, and the refusal says what would change", async (t) => {
  const [mover, reader] = [createClient(), createClient()]
  t.after(() => [mover, reader].map((client) => client.close()))
  const disks = [1, 2, 3, 4].map((i) => `dir:${mover.folder}/disk${i}`)
  await mover.run(["volume", "create", "disks", "--coding", "2/3/4", "--backend", ...disks])
  const content = Buffer.alloc(100_000, 7)
  await mover.run(["put", "-", "disks:/file"], { input: content })
  fs.writeFileSync(`${reader.folder}/disks.json`, (await mover.run(["volume", "export", "disks"])).stdout)
  fs.writeFileSync(`${reader.folder}/cap`, (await mover.run(["cap", "disks:", "--read"])).stdout, { mode: 0o600 })
  await reader.run(["volume", "import", "--file", "disks.json"])
  await reader.run(["alias", "add", "theirs", "--volume", "disks", "--cap-file", "cap", "--local"])
  const codingOf = async () => {
    const { coding, backends } = JSON.parse((await reader.run(["volume", "export", "disks"])).stdout) as {
      coding: { k: number; happy: number; n: number }
      backends: unknown[]
    }
    return [coding.k, coding.happy, coding.n, backends.length]
  }

  const stay = await reader.run(["volume", "follow", "disks"], { code: 3 })
  assert.match(stay.stderr, /has not moved/)
  const more = ["volume", "add-backend", "disks", `dir:${mover.folder}/disk5`]
  await mover.run([...more, "--coding", "2/3/5", "--mode", "crash"])
  const moved = await reader.run(["ls", "theirs:"], { code: 6 })
  assert.match(moved.stderr, /has moved.*holdfast volume follow disks/)
  const refused = await reader.run(["volume", "follow", "disks", "--json"], { code: 6 })
  const { error } = JSON.parse(refused.stdout) as { error: { code: string; message: string } }
  assert.equal(error.code, "ERR_PINNED")
  assert.match(error.message, /from 2\/3\/4 byzantine to 2\/3\/5 crash.*volume follow disks --accept/)
  assert.deepEqual(await codingOf(), [2, 3, 4, 4], "nothing is taken before the user said so")
  await reader.run(["ls", "theirs:"], { code: 6 })

  await reader.run(["volume", "follow", "disks", "--accept"])
  assert.deepEqual(await codingOf(), [2, 3, 5, 5])
  await reader.run(["get", "theirs:/file", "back"])
  assert.ok(fs.readFileSync(`${reader.folder}/back`).equals(content))
})
