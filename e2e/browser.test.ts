/** The core in headless Chromium: the same vectors and the same golden volumes as in Node, with nothing of Node in it. */
import assert from "node:assert/strict"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { test } from "node:test"
import { build } from "esbuild"
import { chromium, type Page } from "playwright-core"
import { type Found, goldenFolders, heldBy } from "./golden-files.ts"
import type { Golden } from "./page/agreement.ts"

const executablePath = "/usr/bin/chromium"
const vectors = join(import.meta.dirname, "..", "interop/vectors")
/** Formats whose code is Node's: buckets, profiles on disk, and what coordinators sign. */
const ofNode = [
  "bucket",
  "bucket-2",
  "bucket-dropped",
  "grid-description",
  "grid-description-2",
  "grid-description-3",
  "grid-description-4",
  "profile",
]

/** The page's script; fails where anything of Node would be bundled. */
async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "page/agreement.ts")],
    bundle: true,
    write: false,
    format: "iife",
    platform: "browser",
    target: "es2024",
    logLevel: "silent",
  })
  return outputFiles[0]!.text
}

function goldenIn(folder: string): Golden {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64")
  const servers = [0, 2, 4].map((number) => {
    const { shares, registers } = heldBy(folder, number)
    return { shares: shares.map(base64), registers: registers.map(base64) }
  })
  return { servers, cap: readFileSync(join(folder, "read-capability"), "utf8") }
}

interface InPage {
  agreesWith(name: string, vectors: unknown): Promise<boolean>
  findIn(golden: Golden): Promise<Found[]>
}

const agreesWith = (page: Page, name: string, content: unknown) =>
  page.evaluate(([name, content]) => (globalThis as unknown as InPage).agreesWith(name, content), [
    name,
    content,
  ] as const)

test("a browser agrees with all frozen vectors and reads the golden volumes", async (t) => {
  const script = await bundle()
  if (!existsSync(executablePath)) {
    assert.ok(!process.env.HOLDFAST_REQUIRE_ALL, "chromium is not installed")
    return t.skip("chromium is not installed")
  }
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] })
  t.after(() => browser.close())
  const page = await browser.newPage()
  // WebCrypto is there for secure origins only.
  await page.route("https://page.invalid/", (route) =>
    route.fulfill({ contentType: "text/html", body: "<!doctype html>" }),
  )
  await page.goto("https://page.invalid/")
  await page.addScriptTag({ content: script })
  const unread: string[] = []
  for (const file of readdirSync(vectors).sort()) {
    const name = basename(file, ".json")
    if (!(await agreesWith(page, name, JSON.parse(readFileSync(join(vectors, file), "utf8"))))) unread.push(name)
  }
  assert.deepEqual(unread.sort(), ofNode)
  const byPath = (list: readonly Found[]) => list.toSorted((a, b) => (a.path < b.path ? -1 : 1))
  for (const folder of goldenFolders) {
    const found = await page.evaluate((golden) => (globalThis as unknown as InPage).findIn(golden), goldenIn(folder))
    assert.deepEqual(byPath(found), byPath(JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"))))
  }
  const wrong = { sha256: [{ input: "", hash: "00" }] }
  const crypto = JSON.parse(readFileSync(join(vectors, "crypto.json"), "utf8"))
  await assert.rejects(agreesWith(page, "crypto", { ...crypto, ...wrong }), /vector SHA-256/)
})
