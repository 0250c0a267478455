import { createAliasTree } from "@holdfast/client/account"
import { openProfile, pathsOf } from "@holdfast/client/profile"
import { openSession } from "@holdfast/client/volumes"

const profile = await openProfile(pathsOf(process.env), "default", async () => "its passphrase, if it is locked")
const session = await openSession(profile, { volume: "disks" })
if (!profile.aliases.has("notes")) await createAliasTree(session, "notes")
console.log([...profile.aliases.keys()].sort().join(" "))
await session.close()
