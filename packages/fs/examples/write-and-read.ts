import { openProfile, pathsOf } from "@holdfast/client/profile"
import { openSession } from "@holdfast/client/volumes"
import { filesOf, mkdir, write } from "@holdfast/fs"

const profile = await openProfile(pathsOf(process.env), "default", async () => "its passphrase, if it is locked")
const session = await openSession(profile, { volume: "disks" })
const files = filesOf({ ...session.store, env: session.env, uploads: profile })
const home = await files.open(profile.aliases.get("disks")!, { label: "disks:" })
await mkdir({ files: home, path: ["letters"] }, { parents: true })
await write({ files: home, path: ["letters", "a.txt"] }, new TextEncoder().encode("Dear all, hello."))
const letter = await home.lookup(["letters", "a.txt"])
for await (const piece of home.read(letter!, { start: 5, end: 8 })) process.stdout.write(piece)
await session.close()
