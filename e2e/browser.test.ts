/** The core in headless Chromium: the same vectors and the same golden volume as in Node, with nothing of Node in it. */
import assert from "node:assert/strict"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { build } from "esbuild"
import { chromium } from "playwright-core"
import type { Found } from "./golden.ts"
import type { Files } from "./page/agreement.ts"

const executablePath = "/usr/bin/chromium"
const root = join(import.meta.dirname, "..")
const golden = join(root, "interop/golden/v1")
const vectorsOf = (name: string) => JSON.parse(readFileSync(join(root, `interop/vectors/${name}.json`), "utf8"))

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

function goldenFiles(): Pick<Files, "cap" | "servers"> {
  const servers = [0, 2, 4].map((number) => {
    const folder = join(golden, `server-${number}`)
    const all = (ending: string) =>
      readdirSync(folder)
        .filter((name) => name.endsWith(ending))
        .map((name) => readFileSync(join(folder, name)).toString("base64"))
    return { shares: all(".share"), registers: all(".register") }
  })
  return { servers, cap: readFileSync(join(golden, "read-capability"), "utf8") }
}

test("a browser agrees with all frozen vectors and reads the golden volume", async (t) => {
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
  const files: Files = {
    crypto: vectorsOf("crypto"),
    erasure: vectorsOf("erasure"),
    chunk: vectorsOf("chunk"),
    chunk2: vectorsOf("chunk-2"),
    register: vectorsOf("register"),
    capability: vectorsOf("capability"),
    recovery: vectorsOf("recovery-kit"),
    invite: vectorsOf("invite"),
    ...goldenFiles(),
  }
  const found = await page.evaluate(
    (all) => (globalThis as unknown as { agreement: (files: Files) => Promise<Found[]> }).agreement(all),
    files,
  )
  const byPath = (list: readonly Found[]) => list.toSorted((a, b) => (a.path < b.path ? -1 : 1))
  assert.deepEqual(byPath(found), byPath(JSON.parse(readFileSync(join(golden, "expected.json"), "utf8"))))

  const wrong = { ...files, crypto: { ...files.crypto, sha256: [{ input: "", hash: "00" }] } }
  const refused = page.evaluate(
    (all) => (globalThis as unknown as { agreement: (files: Files) => Promise<Found[]> }).agreement(all),
    wrong,
  )
  await assert.rejects(refused, /vector SHA-256/)
})
