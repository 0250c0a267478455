/** Ann with two devices, Ben with one, their trees on the grid and on the volume, and what each shares with the other. */
import * as fs from "node:fs"
import { Device } from "./device.ts"
import type { SharedTree } from "./folder.ts"
import type { History } from "./history.ts"
import type { World } from "./world.ts"

/** Everybody. */
export interface People {
  readonly annA: Device
  readonly annB: Device
  readonly benB: Device
  /** Trees into which each person writes. */
  readonly trees: Readonly<Record<"ann" | "ben", readonly SharedTree[]>>
}

const own = {
  annHome: { volume: "grid", names: { ann: "home", ben: "ann" } },
  annClouds: { volume: "clouds", names: { ann: "clouds", ben: "annc" } },
  benHome: { volume: "grid", names: { ann: "ben", ben: "home" } },
  benStore: { volume: "clouds", names: { ann: "benc", ben: "store" } },
  /** Both accounts keep it. */
  team: { volume: "grid", names: { ann: "team", ben: "team" } },
  /** Ann alone keeps it, and Ben may write there. */
  cloudTeam: { volume: "clouds", names: { ann: "cteam", ben: "cteam" } },
} as const satisfies Record<string, SharedTree>

/** Lets a device join the grid; with `account`, as one more of that account. */
export async function joinGrid(world: World, device: Device, account?: string): Promise<void> {
  const invite = JSON.parse(await world.operate(["invite", "--tenant", "home", "--name", device.name])).invite as string
  const more = account === undefined ? [] : ["--account", account, "--yes"]
  await device.must(["join", "--name", device.name, ...more], { input: invite })
}

/** Brings everybody in. */
export async function startPeople(world: World, history: History): Promise<People> {
  const [a, b] = world.network.machines as [World["network"]["machines"][0], World["network"]["machines"][0]]
  const annA = new Device("ann-a", "ann", a, history)
  const annB = new Device("ann-b", "ann", b, history)
  const benB = new Device("ben-b", "ben", b, history)
  await joinGrid(world, annA)
  await annA.must(["alias", "create", "home"])
  await annA.must(["volume", "create", "clouds", "--coding", "2/3/4", "--backend", ...world.places])
  await annA.must(["alias", "create", "team"])
  await annA.must(["alias", "create", "cteam", "--volume", "clouds"])
  await annA.must(["account", "export", "--out", "account"])
  fs.writeFileSync(`${annB.client.folder}/account`, annA.takeFile("account"), { mode: 0o600 })
  await joinGrid(world, annB, "account")
  await annB.must(["account", "show"])
  await joinGrid(world, benB)
  const description = JSON.stringify(await annA.must(["volume", "export", "clouds"]))
  await benB.must(["volume", "import", "--yes"], { input: description })
  await benB.must(["alias", "create", "home"])
  await benB.must(["alias", "create", "store", "--volume", "clouds"])
  await share(annA, [benB], own.annHome, ["--read"], ["--local"])
  await share(annA, [benB], own.annClouds, ["--read"], ["--local"])
  await share(annA, [benB], own.team, [], [])
  await share(annA, [benB], own.cloudTeam, [], ["--local"])
  await share(benB, [annA, annB], own.benHome, ["--read"], ["--local"])
  await share(benB, [annA, annB], own.benStore, ["--read"], ["--local"])
  const { annHome, annClouds, benHome, benStore, team, cloudTeam } = own
  return {
    ...{ annA, annB, benB },
    trees: { ann: [annHome, annClouds, team, cloudTeam], ben: [benHome, benStore, team, cloudTeam] },
  }
}

async function share(
  from: Device,
  to: readonly Device[],
  { volume, names }: SharedTree,
  grants: string[],
  how: string[],
): Promise<void> {
  const { cap } = (await from.must(["cap", `${names[from.person]}:`, ...grants])) as { cap: string }
  for (const device of to)
    await device.must(["alias", "add", names[device.person]!, "--volume", volume, ...how], { input: cap })
}
