/** Counters of a node and their Prometheus text form. */

const bucketsMs = [1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000]

interface EndpointCounts {
  readonly buckets: number[]
  readonly statuses: Map<number, number>
  totalMs: number
  count: number
}

/** A value that is read when the metrics are asked for. */
export interface Gauge {
  readonly name: string
  readonly help: string
  readonly type: "gauge" | "counter"
  readonly value: number
}

/** What a node counts while it runs. */
export class Metrics {
  readonly #endpoints = new Map<string, EndpointCounts>()
  #receivedBytes = 0
  #sentBytes = 0
  #refusedConnections = 0
  #rot = 0
  #scrubs = 0

  /** Counts an answered request. */
  answered(endpoint: string, status: number, durationMs: number): void {
    let counts = this.#endpoints.get(endpoint)
    if (!counts) {
      counts = { buckets: bucketsMs.map(() => 0), statuses: new Map(), totalMs: 0, count: 0 }
      this.#endpoints.set(endpoint, counts)
    }
    counts.count++
    counts.totalMs += durationMs
    counts.statuses.set(status, (counts.statuses.get(status) ?? 0) + 1)
    for (const [i, boundMs] of bucketsMs.entries()) if (durationMs <= boundMs) counts.buckets[i]!++
  }

  /** Counts bodies. */
  moved(receivedBytes: number, sentBytes: number): void {
    this.#receivedBytes += receivedBytes
    this.#sentBytes += sentBytes
  }

  /** Counts a connection refused in the handshake. */
  refused(): void {
    this.#refusedConnections++
  }

  /** Counts a finished scrub and what it found rotten. */
  scrubbed(rotten: number): void {
    this.#scrubs++
    this.#rot += rotten
  }

  /** The text that Prometheus reads. */
  format(gauges: readonly Gauge[]): string {
    const lines: string[] = []
    const add = ({ name, help, type, value }: Gauge) =>
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name} ${value}`)
    const counter = (name: string, help: string, value: number) => add({ name, help, type: "counter", value })
    for (const gauge of gauges) add(gauge)
    counter("holdfast_node_received_bytes_total", "Bytes of request bodies.", this.#receivedBytes)
    counter("holdfast_node_sent_bytes_total", "Bytes of answers.", this.#sentBytes)
    counter("holdfast_node_refused_connections_total", "Connections refused by TLS.", this.#refusedConnections)
    counter("holdfast_node_scrubs_total", "Finished scrubs.", this.#scrubs)
    counter("holdfast_node_rot_total", "Rotten shares and registers that scrubs found.", this.#rot)
    lines.push(...this.#requestLines())
    return `${lines.join("\n")}\n`
  }

  #requestLines(): string[] {
    const requests = "holdfast_node_requests_total"
    const duration = "holdfast_node_request_duration_seconds"
    const lines = [`# HELP ${requests} Requests answered.`, `# TYPE ${requests} counter`]
    for (const [endpoint, { statuses }] of this.#endpoints)
      for (const [status, count] of statuses)
        lines.push(`${requests}{endpoint="${endpoint}",status="${status}"} ${count}`)
    lines.push(`# HELP ${duration} How long requests took.`, `# TYPE ${duration} histogram`)
    for (const [endpoint, { buckets, count, totalMs }] of this.#endpoints) {
      for (const [i, boundMs] of bucketsMs.entries())
        lines.push(`${duration}_bucket{endpoint="${endpoint}",le="${boundMs / 1000}"} ${buckets[i]}`)
      lines.push(`${duration}_bucket{endpoint="${endpoint}",le="+Inf"} ${count}`)
      lines.push(`${duration}_sum{endpoint="${endpoint}"} ${totalMs / 1000}`)
      lines.push(`${duration}_count{endpoint="${endpoint}"} ${count}`)
    }
    return lines
  }
}
