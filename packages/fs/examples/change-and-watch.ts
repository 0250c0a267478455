import { openProfile, pathsOf } from "@holdfast/client/profile"
import { openSession } from "@holdfast/client/volumes"
import { filesOf, patch } from "@holdfast/fs"

const profile = await openProfile(pathsOf(process.env), "default", async () => "its passphrase, if it is locked")
const session = await openSession(profile, { volume: "disks" })
const home = await filesOf({ ...session.store, env: session.env }).open(profile.aliases.get("disks")!)
const path = ["letters", "a.txt"]
await patch({ files: home, path }, [{ offset: 5, bytes: new TextEncoder().encode("you") }])
// Now, and again whenever anybody has changed something, until the signal aborts.
for await (const now of home.watch({ signal: AbortSignal.timeout(2000) })) {
  const letter = now.reader((await now.lookup(path))!)
  console.log(new TextDecoder().decode(await letter.read(0, letter.size)))
}
await session.close()
