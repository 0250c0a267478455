import assert from "node:assert/strict"
import { test } from "node:test"
import { createLogger, Metrics, sparingLogger, startMonitor } from "../src/index.ts"
import { parsePrometheus } from "./prometheus.ts"

test("secrets never reach the log, whatever field or text they are in", () => {
  let text = ""
  const logger = createLogger({ stream: { write: (line) => (text += line) } })
  const secret = "hf:dw:abcdefghij234567"
  logger.info(`opened ${secret}`, {
    token: "s3cret",
    nested: { apiKey: "s3cret", list: [secret, "hf-invite:s3cret"] },
    error: new Error(`could not open ${secret}`),
    bytes: new Uint8Array([1, 2, 3]),
    path: "/fine",
  })
  logger.debug("not shown")
  assert.doesNotMatch(text, /s3cret|abcdefghij|not shown/)
  const line = JSON.parse(text) as { level: string; path: string; bytes: string }
  assert.deepEqual([line.level, line.path, line.bytes], ["info", "/fine", "[3 bytes]"])
})

test("metrics render as Prometheus text", async () => {
  const metrics = new Metrics()
  const requests = metrics.counter("requests_total", "Requests.")
  requests.add(1, { path: 'a"b' })
  requests.add(2, { path: 'a"b' })
  metrics.gauge("used_bytes", "Bytes.", () => 42)
  const seconds = metrics.histogram("seconds", "Time.", [0.1, 1])
  for (const value of [0.05, 0.5, 5]) seconds.observe(value, { path: "x" })
  assert.equal(
    await metrics.render(),
    [
      "# HELP requests_total Requests.",
      "# TYPE requests_total counter",
      'requests_total{path="a\\"b"} 3',
      "# HELP used_bytes Bytes.",
      "# TYPE used_bytes gauge",
      "used_bytes 42",
      "# HELP seconds Time.",
      "# TYPE seconds histogram",
      'seconds_bucket{path="x",le="0.1"} 1',
      'seconds_bucket{path="x",le="1"} 2',
      'seconds_bucket{path="x",le="+Inf"} 3',
      'seconds_sum{path="x"} 5.55',
      'seconds_count{path="x"} 3',
      "",
    ].join("\n"),
  )
})

test("whatever a label, a help text or a number is, a strict reader of the format gets it back", async () => {
  const metrics = new Metrics()
  const strange = ['a"b', "back\\slash", "two\nlines", "\\n", "", "é{}=,", 'x",y="z']
  const seen = metrics.counter("seen_total", "Back\\slash and\nnew line.")
  for (const path of strange) seen.add(2, { path, other: path })
  metrics.gauge("free_bytes", "Bytes.", () => Number.POSITIVE_INFINITY)
  metrics.gauge("tiny", "Small.", () => 1e-9)
  metrics.gauges("stored_bytes", "Bytes.", "tenant", () => strange.map((tenant) => [tenant, 1e21] as const))
  const seconds = metrics.histogram("seconds", "Time.", [0.1, 1])
  for (const path of strange) for (const value of [0.1, 0.05, 9]) seconds.observe(value, { path })
  const read = parsePrometheus(await metrics.render())
  assert.deepEqual(
    read.get("seen_total")!.map(({ labels, value }) => [labels.get("path"), labels.get("other"), value]),
    strange.map((path) => [path, path, 2]),
  )
  assert.deepEqual(
    read.get("stored_bytes")!.map(({ labels, value }) => [labels.get("tenant"), value]),
    strange.map((tenant) => [tenant, 1e21]),
  )
  assert.equal(read.get("free_bytes")![0]!.value, Number.POSITIVE_INFINITY)
  assert.equal(read.get("seconds")!.length, 5 * strange.length)
  metrics.counter("named_total", "Names.").add(1, { name: "x\u001b[2J\u009b\u202ey" })
  assert.match(await metrics.render(), /^named_total\{name="x\\\\x1b\[2J\\\\x9b\\\\u202ey"\} 1$/m)
  assert.throws(() => metrics.gauge("tiny", "Again.", () => 1))
  assert.throws(() => metrics.gauge("not a name", "Bad.", () => 1))
})

test("the monitor tells metrics and health, and nothing else", async (t) => {
  let ok = true
  const monitor = (await startMonitor(
    { port: 0 },
    { metrics: async () => "up 1\n", health: () => ({ ok, details: { token: "s3cret" } }) },
  ))!
  t.after(() => monitor.close())
  const at = `http://${monitor.address}`
  assert.equal(await (await fetch(`${at}/metrics`)).text(), "up 1\n")
  const healthy = await fetch(`${at}/health`)
  assert.deepEqual([healthy.status, await healthy.json()], [200, { ok: true, details: { token: "[hidden]" } }])
  ok = false
  assert.equal((await fetch(`${at}/health`)).status, 503)
  assert.equal((await fetch(`${at}/`)).status, 404)
  assert.equal((await fetch(`${at}/metrics`, { method: "POST" })).status, 405)
})

test("nobody outside fills the disk with lines of a log, which says how many it left out", () => {
  let nowMs = 0
  const lines: { event: string; leftOut?: number }[] = []
  const stream = { write: (line: string) => lines.push(JSON.parse(line)) }
  const logger = sparingLogger(createLogger({ stream }), { nowMs: () => nowMs, most: 10 })
  for (let i = 0; i < 1000; i++) logger.warn("request-failed", { i })
  logger.warn("other")
  assert.equal(lines.length, 11)
  nowMs = 60_000
  for (let i = 0; i < 5; i++) logger.warn("request-failed")
  assert.deepEqual(
    lines.slice(11).map(({ leftOut }) => leftOut),
    [990, undefined, undefined, undefined, undefined],
  )
})
