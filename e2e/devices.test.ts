/** An append-only device on a real grid and a directory: it adds, its grant is taken back, and what it stored stays. */
import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { createClient } from "./client.ts"
import { startGrid } from "./grid.ts"

interface Shown {
  readonly device: string
  readonly volumes: { readonly name: string; readonly devices: Device[]; readonly revoked: Device[] }[]
}
interface Device {
  readonly name: string
  readonly device: string
}

test("a revoked device stores nothing more, on nodes and in directories, and what it stored is kept", async (t) => {
  const grid = await startGrid({ nodes: 3, coding: "2/2/3" })
  t.after(() => grid.close())
  const { run, json, folder } = grid
  const camera = ["--profile", "camera"]
  const disks = [1, 2, 3].map((i) => `dir:${folder}/disk${i}`)
  await run(["volume", "create", "disks", "--coding", "2/2/3", "--backend", ...disks])
  await run(["account", "show"])
  const invite = (await run(["invite", "--dir", `${folder}/data/holdfast/grid/coordinator`])).stdout
  await run([...camera, "join"], { input: invite })
  const { device } = await json<Shown>([...camera, "account", "show"])
  await run(["account", "grant", device, "--append-only", "--name", "camera", "--out", `${folder}/camera.account`])
  await run([...camera, "account", "use", `${folder}/camera.account`])
  const photo = Buffer.alloc(200_000, 7)
  for (const volume of ["grid", "disks"]) {
    await run([...camera, "--volume", volume, "alias", "create", `photos-${volume}`])
    await run([...camera, "put", "-", `photos-${volume}:/one`], { input: photo })
  }
  const shown = await json<Shown>(["account", "show"])
  for (const { devices } of shown.volumes) assert.deepEqual(devices, [{ name: "camera", device }])

  await grid.kill("n3")
  const part = await run(["account", "revoke", "camera", "--json"], { code: 4 })
  const first = JSON.parse(part.stdout) as { told: string[]; errors: object; unchanged: object }
  assert.deepEqual([first.told.length, Object.keys(first.errors).length, first.unchanged], [5, 1, {}])
  await grid.revive()
  await run(["gc"]) // tells the node that was away
  for (const volume of ["grid", "disks"]) {
    const refused = await run([...camera, "put", "-", `photos-${volume}:/two`], { input: photo, code: "any" })
    assert.equal(refused.code, 6, refused.stderr)
    assert.match(refused.stderr, /taken (it|its grant) back/)
  }
  const again = await json<{ told: string[]; errors: object }>(["account", "revoke", device.slice(0, 10)])
  assert.deepEqual([again.told.length, again.errors], [6, {}])
  const after = await json<Shown>(["account", "show"])
  for (const { devices, revoked } of after.volumes)
    assert.deepEqual([devices, revoked], [[], [{ name: "camera", device }]])
  for (const volume of ["grid", "disks"]) {
    await run(["get", `photos-${volume}:/one`, `${folder}/${volume}`])
    assert.ok(readFileSync(`${folder}/${volume}`).equals(photo), "what it stored is the account's")
  }
  await run(["account", "revoke", "nobody"], { code: 3 })

  await run(["account", "grant", device, "--append-only", "--name", "camera", "--out", `${folder}/again.account`])
  await run([...camera, "account", "use", `${folder}/again.account`])
  await run([...camera, "put", "-", "photos-grid:/three"], { input: photo })
  const last = await json<Shown>(["account", "show"])
  for (const { devices, revoked } of last.volumes) assert.deepEqual([devices.length, revoked], [1, []])
})

test("an alias that another device made on any volume of the account is found when it is named", async (t) => {
  const client = createClient()
  t.after(() => client.close())
  const { run, folder } = client
  const phone = ["--profile", "phone"]
  for (const volume of ["disks", "more"]) {
    const places = [1, 2, 3].map((i) => `dir:${folder}/${volume}${i}`)
    await run(["volume", "create", volume, "--coding", "2/2/3", "--backend", ...places])
    const { stdout } = await run(["volume", "export", volume])
    await run([...phone, "volume", "import", "--yes"], { input: stdout })
  }
  await run(["account", "export", "--out", `${folder}/account`])
  await run([...phone, "account", "use", `${folder}/account`])
  for (const volume of ["disks", "more"]) {
    await run(["alias", "create", `on-${volume}`, "--volume", volume])
    await run(["put", "-", `on-${volume}:/x`], { input: volume })
    assert.equal((await run([...phone, "cat", `on-${volume}:/x`])).stdout, volume)
  }
  const { stderr } = await run([...phone, "ls", "nowhere:"], { code: 3 })
  assert.match(stderr, /There is no alias "nowhere"\. Known aliases: .*on-disks, on-more/)
})
