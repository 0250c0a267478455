/** Counters, gauges and histograms, rendered as Prometheus text (exposition format 0.0.4). */

import { assert, shownLines } from "@holdfast/core"

/** Names and values that tell series of one metric apart. Keep the number of combinations small. */
export type Labels = Readonly<Record<string, string>>

/** Metrics of one process. */
export class Metrics {
  readonly #families = new Map<string, { help: string; type: string; lines: () => string[] | Promise<string[]> }>()

  /** A number that only grows. */
  counter(name: string, help: string): { add(amount?: number, labels?: Labels): void } {
    const values = new Map<string, number>()
    this.#add(name, help, "counter", () => linesOf(name, values))
    return {
      add: (amount = 1, labels = {}) => {
        const key = labelText(labels)
        values.set(key, (values.get(key) ?? 0) + amount)
      },
    }
  }

  /** A number read when asked for. */
  gauge(name: string, help: string, read: () => number | Promise<number>): void {
    this.#add(name, help, "gauge", async () => [`${name} ${numberText(await read())}`])
  }

  /** Numbers read when asked for, told apart by one label. */
  gauges(name: string, help: string, label: string, read: () => Iterable<readonly [string, number]>): void {
    const lines = () => [...read()].map(([value, of]) => `${name}${labelText({ [label]: value })} ${numberText(of)}`)
    this.#add(name, help, "gauge", lines)
  }

  /** A number that only grows and that somebody else counts. */
  total(name: string, help: string, read: () => number): void {
    this.#add(name, help, "counter", () => [`${name} ${numberText(read())}`])
  }

  /** A distribution over fixed upper bounds, such as seconds. */
  histogram(name: string, help: string, bounds: readonly number[]): { observe(value: number, labels?: Labels): void } {
    const series = new Map<string, Series>()
    const lines = () => [...series.values()].flatMap((one) => seriesLines(name, bounds, one))
    this.#add(name, help, "histogram", lines)
    return {
      observe: (value, labels = {}) => {
        const key = labelText(labels)
        let one = series.get(key)
        if (!one) {
          one = { labels, counts: new Array<number>(bounds.length + 1).fill(0), sum: 0 }
          series.set(key, one)
        }
        const bucket = bounds.findIndex((bound) => value <= bound)
        one.counts[bucket < 0 ? bounds.length : bucket]!++
        one.sum += value
      },
    }
  }

  /** All metrics as text. */
  async render(): Promise<string> {
    let text = ""
    for (const [name, { help, type, lines }] of this.#families)
      text += [`# HELP ${name} ${helpText(help)}`, `# TYPE ${name} ${type}`, ...(await lines()), ""].join("\n")
    return text
  }

  #add(name: string, help: string, type: string, lines: () => string[] | Promise<string[]>): void {
    assert(/^[a-z_][a-z0-9_]*$/.test(name) && !this.#families.has(name), `"${name}" is no new name of a metric`)
    this.#families.set(name, { help, type, lines })
  }
}

/** The observations with one set of labels. */
interface Series {
  readonly labels: Labels
  readonly counts: number[]
  sum: number
}

function seriesLines(name: string, bounds: readonly number[], { labels, counts, sum }: Series): string[] {
  let total = 0
  const buckets = counts.map((count, i) => {
    total += count
    return `${name}_bucket${labelText({ ...labels, le: String(bounds[i] ?? "+Inf") })} ${total}`
  })
  return [
    ...buckets,
    `${name}_sum${labelText(labels)} ${numberText(sum)}`,
    `${name}_count${labelText(labels)} ${total}`,
  ]
}

function linesOf(name: string, values: ReadonlyMap<string, number>): string[] {
  return [...values].map(([labels, value]) => `${name}${labels} ${numberText(value)}`)
}

function helpText(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")
}

function numberText(value: number): string {
  return Number.isFinite(value) || Number.isNaN(value) ? String(value) : value > 0 ? "+Inf" : "-Inf"
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => {
    // The format escapes line ends only; an operator may look at it in a terminal.
    const escaped = shownLines(value).replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")
    return `${name}="${escaped}"`
  })
  return pairs.length > 0 ? `{${pairs.join(",")}}` : ""
}
