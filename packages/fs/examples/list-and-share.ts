import { openProfile, pathsOf } from "@holdfast/client/profile"
import { openSession } from "@holdfast/client/volumes"
import { filesOf, link, walkItems } from "@holdfast/fs"

const profile = await openProfile(pathsOf(process.env), "default", async () => "its passphrase, if it is locked")
const session = await openSession(profile, { volume: "disks" })
const files = filesOf({ ...session.store, env: session.env, account: (await profile.account()).id })
const home = await files.open(profile.aliases.get("disks")!, { label: "disks:" })
for await (const { path, item } of walkItems((await home.lookup([]))!, []))
  console.log(`/${path.join("/")} ${item.entry.kind} ${item.entry.size}`)
const team = await files.create("directory") // a tree of its own, which can be shared by itself
await link(team, { files: home, path: ["team"] })
console.log((await home.capOf(["team"], "read")).slice(0, 6)) // whoever has it reads the team's files, whatever comes
await session.close()
