import assert from "node:assert/strict"
import * as fs from "node:fs"
import { test } from "node:test"
import { splitRemote } from "../src/places.ts"
import { createHarness, withCode } from "./files-harness.ts"

test("patterns in places stand for what is there, a name for itself", async (t) => {
  const { folder, run } = await createHarness(t)
  for (const path of ["a/1.jpg", "a/2.jpg", "a/.hidden.jpg", "b/3.jpg", "b/sub/4.txt", "b/*.jpg"]) {
    fs.mkdirSync(`${folder}/src/${path.split("/").slice(0, -1).join("/")}`, { recursive: true })
    fs.writeFileSync(`${folder}/src/${path}`, path)
  }
  await run("put", `${folder}/src/`, "home:")
  assert.equal(await run("cat", "home:/a/?.jpg"), "a/1.jpga/2.jpg")
  assert.equal(await run("cat", "home:/*/*.jpg"), "a/1.jpga/2.jpgb/*.jpgb/3.jpg")
  assert.equal(await run("cat", "home:/b/*.jpg"), "b/*.jpg", "what has that name is meant itself")
  assert.equal(await run("cat", "home:/a/.*"), "a/.hidden.jpg")
  assert.equal(await run("cat", "home:/*/sub/4.txt"), "b/sub/4.txt")
  await assert.rejects(run("ls", "home:/*.png"), withCode("ERR_NOT_FOUND"))
  await run("snapshot", "create", "home:", "monday")

  await run("cp", "home:/a/*.jpg", "home:/b/sub")
  assert.equal(await run("ls", "home:/b/sub"), "1.jpg\n2.jpg\n4.txt\n")
  await run("mv", "home:/b/sub/*.jpg", "home:/a/")
  await run("get", "home:/?/[1-3].jpg", `${folder}/none`).catch(() => undefined)
  await run("get", "home:/a/*.jpg", `${folder}/to/`)
  assert.deepEqual(fs.readdirSync(`${folder}/to`).sort(), ["1.jpg", "2.jpg"])
  assert.equal(await run("cat", "home:/a@monday/?.jpg"), "a/1.jpga/2.jpg")

  assert.equal(
    await run("rm", "-r", "--dry-run", "home:/b"),
    [
      ...[
        "remove home:/b",
        "remove home:/b/*.jpg",
        "remove home:/b/3.jpg",
        "remove home:/b/sub",
        "remove home:/b/sub/4.txt",
      ],
      "Would remove 5 entries.\n",
    ].join("\n"),
  )
  await assert.rejects(run("rm", "--dry-run", "home:/b"), withCode("ERR_NOT_EMPTY"))
  await run("rm", "home:/a/*.jpg")
  assert.equal(await run("ls", "home:/a"), ".hidden.jpg\n")
  await run("rm", "-f", "home:/a/*.jpg", "home:/b/3.*")
  assert.equal(await run("ls", "home:/b"), "*.jpg\nsub/\n")
  assert.equal(await run("find", "home:/b", "-0", "-t", "f"), "home:/b/*.jpg\0home:/b/sub/4.txt\0")
})

test("a place is split where its path begins", () => {
  for (const [text, base] of [
    ["home:", "home:"],
    ["home:a/*", "home:"],
    ["home:/a", "home:"],
    ["@file:x.cap//a/b", "@file:x.cap/"],
    ["@file:x.cap", "@file:x.cap"],
  ] as const) {
    assert.equal(splitRemote(text).base, base)
    assert.equal(splitRemote(text).base + splitRemote(text).path, text)
  }
})
