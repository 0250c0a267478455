/** Extended attributes where the bridge to the C library is not installed: nothing is lost of what is stored, and it is told. */
import assert from "node:assert/strict"
import * as fs from "node:fs"
import { registerHooks } from "node:module"
import { test } from "node:test"
import { download } from "../src/node/download.ts"
import { upload } from "../src/node/upload.ts"
import { knowsXattrs } from "../src/node/xattrs.ts"
import { setUp } from "./local-folders.ts"

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === "koffi") throw new Error("not installed")
    return next(specifier, context)
  },
})

test("without koffi stored attributes stay, and files come without them, which is told and no failure", async (t) => {
  const { from, to, home, options, problems } = await setUp(t)
  assert.equal(knowsXattrs(), false)
  fs.writeFileSync(`${from}/f`, "f")
  fs.utimesSync(`${from}/f`, 1_790_000_000.123456, 1_790_000_000.123456)
  await upload(home.writer(), from, ["x"], options)
  const { entry } = (await home.lookup(["x", "f"]))!
  assert.ok(entry.kind === "file")
  const xattrs = new Map([["user.mine", new Uint8Array(1)]])
  const { mode, uid, gid, mtimeNs, content } = entry
  await home.writer().commit([{ path: ["x", "f"], kind: "file", mode, uid, gid, mtimeNs, content, xattrs }])
  fs.writeFileSync(`${from}/f`, "changed")
  fs.utimesSync(`${from}/f`, 1_790_000_000.123456, 1_790_000_000.123456)
  await upload(home.writer(), from, ["x"], options)
  const item = (await home.lookup(["x"]))!
  assert.deepEqual([...(await home.lookup(["x", "f"]))!.entry.xattrs!.keys()], ["user.mine"])

  let told = 0
  const fetch = () => download(item, to, { ...options, onWithoutXattrs: () => void told++ })
  assert.equal((await fetch()).files, 1)
  assert.equal(Math.round(fs.statSync(`${to}/f`).mtimeMs), 1_790_000_000_123)
  assert.equal((await fetch()).unchanged, 1)
  assert.deepEqual([told, problems], [1, []])
})
