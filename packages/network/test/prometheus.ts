/** A strict reader of the Prometheus text format 0.0.4: it throws at whatever a scraper would refuse or misread. */
import assert from "node:assert/strict"

/** A sample: its full name, its labels, its value. */
export interface Sample {
  readonly name: string
  readonly labels: ReadonlyMap<string, string>
  readonly value: number
}

const helpLine = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\\n]|\\\\|\\n)+)$/
const typeLine = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)$/
const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.+)\})? (\S+)$/
const labelPart = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)/y
const number = /^(?:[+-]?Inf|NaN|[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/

/** All samples by family. Throws an AssertionError for anything that is not exactly the format. */
export function parsePrometheus(text: string): Map<string, Sample[]> {
  assert.ok(text.endsWith("\n") && !text.includes("\n\n") && !text.includes("\r"), "lines end with one newline each")
  const families = new Map<string, Sample[]>()
  const types = new Map<string, string>()
  let family = ""
  let helped = ""
  for (const line of text.slice(0, -1).split("\n")) {
    if (line.startsWith("# HELP")) {
      helped = helpLine.exec(line)?.[1] ?? assert.fail(line)
      continue
    }
    if (line.startsWith("#")) {
      const [, name = assert.fail(line), type = ""] = typeLine.exec(line) ?? []
      assert.equal(name, helped, "help comes before type")
      assert.ok(!families.has(name), `${name} comes twice`)
      assert.equal(type === "counter", name.endsWith("_total"), `${name} is named as a ${type} is`)
      families.set(name, [])
      types.set(name, type)
      family = name
      continue
    }
    const [, name = assert.fail(line), labelText = "", value = ""] = sampleLine.exec(line) ?? []
    const suffix = types.get(family) === "histogram" ? /^(_bucket|_sum|_count)$/ : /^$/
    assert.ok(name.startsWith(family) && suffix.test(name.slice(family.length)), `${name} lies under ${family}`)
    assert.match(value, number)
    families.get(family)!.push({ name, labels: labelsOf(labelText), value: Number(value.replace("Inf", "Infinity")) })
  }
  for (const [name, samples] of families) checkFamily(types.get(name)!, samples)
  return families
}

function labelsOf(text: string): Map<string, string> {
  const labels = new Map<string, string>()
  labelPart.lastIndex = 0
  while (labelPart.lastIndex < text.length) {
    const [, name = assert.fail(text), value = ""] = labelPart.exec(text) ?? []
    assert.ok(!labels.has(name), text)
    labels.set(
      name,
      value.replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped)),
    )
  }
  return labels
}

function checkFamily(type: string, samples: readonly Sample[]): void {
  const series = samples.map(({ name, labels }) => JSON.stringify([name, [...labels].sort()]))
  assert.equal(new Set(series).size, series.length, "no series comes twice")
  if (type !== "gauge") for (const { name, value } of samples) assert.ok(value >= 0, name)
  if (type !== "histogram") return
  const groups = Map.groupBy(samples, ({ labels }) => JSON.stringify([...labels].filter(([name]) => name !== "le")))
  for (const group of groups.values()) {
    const buckets = group.filter(({ name }) => name.endsWith("_bucket"))
    const bounds = buckets.map(({ labels }) => Number(labels.get("le")!.replace("Inf", "Infinity")))
    assert.deepEqual(
      bounds,
      [...bounds].sort((a, b) => a - b),
    )
    assert.equal(bounds.at(-1), Number.POSITIVE_INFINITY)
    const counts = buckets.map(({ value }) => value)
    assert.deepEqual(
      counts,
      [...counts].sort((a, b) => a - b),
      "buckets are cumulative",
    )
    assert.equal(group.find(({ name }) => name.endsWith("_count"))?.value, counts.at(-1))
    assert.ok(group.some(({ name }) => name.endsWith("_sum")))
  }
}
