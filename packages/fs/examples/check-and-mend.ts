import { openProfile, pathsOf } from "@holdfast/client/profile"
import { openSession } from "@holdfast/client/volumes"
import { filesOf } from "@holdfast/fs"
import { checkHealth, footingOf, isBad } from "@holdfast/fs/care"

const profile = await openProfile(pathsOf(process.env), "default", async () => "its passphrase, if it is locked")
const session = await openSession(profile, { volume: "disks" })
const { store, env } = session
const home = await filesOf({ ...store, env }).open(profile.aliases.get("disks")!)
const footing = () => footingOf(home.item(home.root), { deep: true })
const health = await checkHealth({ crypto: env.crypto, store }, footing())
if (isBad(health)) await checkHealth({ crypto: env.crypto, store }, footing(), { repair: true })
console.log(health.report.chunks > 0, isBad(health))
await session.close()
