/** The status page of a real local grid, in a real browser. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { type IncomingMessage, request } from "node:http"
import { text as readAll } from "node:stream/consumers"
import { after, before, type TestContext, test } from "node:test"
import { type Browser, chromium } from "playwright-core"
import { type Grid, startGrid } from "./grid.ts"

const executablePath = "/usr/bin/chromium"
let grid: Grid
let address: string

before(async () => {
  grid = await startGrid({ nodes: 3, coding: "2/3/3" })
  address = (await grid.json<{ statusPage: string }>(["up"])).statusPage
})
after(() => grid?.close())

async function browserOf(t: TestContext): Promise<Browser | undefined> {
  if (!existsSync(executablePath)) {
    assert.ok(!process.env["HOLDFAST_REQUIRE_ALL"], "chromium is not installed")
    t.skip("chromium is not installed")
    return undefined
  }
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] })
  t.after(() => browser.close())
  return browser
}

/** Colour as the browser paints it: relative luminance after WCAG 2. */
function luminance([r, g, b]: readonly number[]): number {
  const [x, y, z] = [r!, g!, b!].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4))
  return 0.2126 * x! + 0.7152 * y! + 0.0722 * z!
}

test("the page is readable in light and dark, and on a screen of 360 px", async (t) => {
  const browser = await browserOf(t)
  if (!browser) return
  for (const colorScheme of ["light", "dark"] as const) {
    const page = await browser.newPage({ colorScheme, viewport: { width: 360, height: 740 } })
    const outside: string[] = []
    const problems: string[] = []
    page.on("request", (made) => made.url().startsWith(address) || outside.push(made.url()))
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()))
    await page.goto(address)
    assert.deepEqual([outside, problems.filter((text) => !text.includes("favicon"))], [[], []])
    assert.match(await page.title(), /^Holdfast: 4 of 4 running$/)
    const { scrollWidth, clientWidth } = await page.evaluate<{ scrollWidth: number; clientWidth: number }>(
      "({ scrollWidth: document.documentElement.scrollWidth, clientWidth: document.documentElement.clientWidth })",
    )
    assert.ok(scrollWidth <= clientWidth, `the page is ${scrollWidth} px wide`)
    const colours = await page.evaluate<number[][]>(`(() => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d")
      const paint = (colour) => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data] }
      const probe = document.body.appendChild(document.createElement("p"))
      probe.style.setProperty("background-color", "Canvas")
      return [...document.querySelectorAll("h1, td, th, a, code")].map((one) => paint(getComputedStyle(one).color)).concat([paint(getComputedStyle(probe).backgroundColor)])
    })()`)
    const background = luminance(colours.at(-1)!)
    for (const colour of colours.slice(0, -1)) {
      const [dark, bright] = [luminance(colour), background].sort((a, b) => a - b)
      assert.ok((bright! + 0.05) / (dark! + 0.05) >= 4.5, `${colorScheme}: contrast of ${colour}`)
    }
    if (process.env["HOLDFAST_SCREENSHOTS"])
      await page.screenshot({ path: `${process.env["HOLDFAST_SCREENSHOTS"]}/${colorScheme}.png`, fullPage: true })
  }
})

test("a screen reader is told language, title, landmarks and headers; the keyboard reaches all that scrolls", async (t) => {
  const browser = await browserOf(t)
  if (!browser) return
  const page = await browser.newPage()
  await page.goto(address)
  assert.equal(await page.locator("html").getAttribute("lang"), "en")
  assert.equal(await page.getByRole("main").count(), 1)
  assert.equal(await page.getByRole("heading", { level: 1 }).count(), 1)
  assert.deepEqual(await page.getByRole("columnheader").allTextContents(), [
    "Part",
    "State",
    "Port",
    "Process",
    "Restarts",
  ])
  assert.deepEqual(await page.getByRole("rowheader").allTextContents(), ["coordinator", "n1", "n2", "n3"])
  assert.match((await page.getByRole("status").textContent()) ?? "", /Files can be read, and 1 more node may fail/)
  const reached: string[] = []
  for (let i = 0; i < 4; i++) {
    await page.keyboard.press("Tab")
    reached.push(await page.evaluate<string>("document.activeElement.ariaLabel ?? document.activeElement.textContent"))
  }
  assert.deepEqual(reached, ["Load again", "every 5 seconds", "Processes", "Commands"])
  assert.equal(await page.locator("meta[http-equiv=refresh]").count(), 0)
  await page.getByText("every 5 seconds").press("Enter")
  await page.getByText("Stop that").waitFor()
  assert.equal(await page.locator("meta[http-equiv=refresh]").count(), 1)
})

test("the page answers this machine's names only, never writes, and forbids scripts and frames", async () => {
  const { port } = new URL(address)
  const ask = async (host: string, { method = "GET", path = "/" } = {}) => {
    const call = request({ host: "127.0.0.1", port, method, path, headers: { host } }).end()
    const [response] = (await once(call, "response")) as [IncomingMessage]
    const policy = String(response.headers["content-security-policy"])
    return { status: response.statusCode!, policy, text: await readAll(response) }
  }
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`]) assert.equal((await ask(host)).status, 200)
  for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1", `127.0.0.1:1`]) {
    const { status, text } = await ask(host)
    assert.equal(status, 421, host)
    assert.ok(!text.includes("coordinator"))
  }
  const own = `127.0.0.1:${port}`
  assert.equal((await ask(own, { method: "POST" })).status, 405)
  for (const path of ["/favicon.ico", "/../grid.json", "//", "/?x"])
    assert.equal((await ask(own, { path })).status, 404)
  const { policy, text } = await ask(own)
  assert.match(policy, /^default-src 'none'; style-src 'sha256-/)
  assert.match(policy, /frame-ancestors 'none'/)
  assert.ok(!/<script|https?:\/\//.test(text))
})
