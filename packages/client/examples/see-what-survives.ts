import { openProfile, pathsOf } from "@holdfast/client/profile"
import { openSession, survivalOf, survivalText } from "@holdfast/client/volumes"

const profile = await openProfile(pathsOf(process.env), "default", async () => "its passphrase, if it is locked")
const session = await openSession(profile, { volume: "disks" })
for (const { id } of session.backends) console.log(id)
console.log(survivalText(survivalOf(session, session.backends.length)))
await session.close()
