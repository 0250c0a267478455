/** What a storage node measures. Few tenants are named, however many there are: the largest, so that series stay few. */
import type { Engine } from "@holdfast/backends/directory"
import { Metrics } from "@holdfast/network"
import type { NotTaken } from "./not-taken.ts"

const tenantsNamed = 32
const tenantHelp = `Bytes stored for each of the ${tenantsNamed} largest tenants; (other) is the sum of the rest.`
const secondBounds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]

/** The metrics of one node. */
export interface NodeMetrics {
  /** When the certificate ends. */
  certificateEndsMs: number
  /** Counts an answered request. */
  answered(endpoint: string, status: number, durationMs: number): void
  /** Counts bodies. */
  moved(receivedBytes: number, sentBytes: number): void
  /** Says how many requests wait for something to change. */
  waiting(count: number): void
  /** Counts what was not taken of what clients store. */
  notTaken(notTaken: NotTaken): void
  /** Counts a connection refused in the handshake. */
  refused(): void
  /** Says how many bytes the scrub under way has checked. */
  scrubbing(bytes: number): void
  /** Counts a finished scrub and what it found rotten. */
  scrubbed(rotten: number): void
  /** The text that Prometheus reads. */
  render(): Promise<string>
}

/** Metrics over `engine`. */
export function createNodeMetrics(engine: Engine, certificateEndsMs: number): NodeMetrics {
  const certificate = { endsMs: certificateEndsMs }
  const metrics = new Metrics()
  const sumOf = (value: (tenant: ReturnType<Engine["tenants"]>[number]) => number) => () =>
    engine.tenants().reduce((sum, tenant) => sum + value(tenant), 0)
  const storedBytes = sumOf(({ usedBytes }) => usedBytes)
  metrics.gauge("holdfast_node_stored_bytes", "Bytes stored for all tenants.", storedBytes)
  const storedShares = sumOf(({ shareCount }) => shareCount)
  metrics.gauge("holdfast_node_stored_shares", "Shares stored for all tenants.", storedShares)
  metrics.gauges("holdfast_node_tenant_stored_bytes", tenantHelp, "tenant", () => largest(engine.tenants()))
  const waits = { count: 0 }
  metrics.gauge("holdfast_node_waiting_requests", "Requests that wait for a register to change.", () => waits.count)
  const scrub = { bytes: 0, endedMs: 0 }
  const scrubHelp = "Bytes that the present scrub, or the last one, has checked; compare with the stored bytes."
  metrics.gauge("holdfast_node_scrub_checked_bytes", scrubHelp, () => scrub.bytes)
  const endedHelp = "When the last scrub ended, seconds since the epoch; 0 before the first."
  metrics.gauge("holdfast_node_scrub_end_seconds", endedHelp, () => scrub.endedMs / 1000)
  metrics.gauge("holdfast_node_tenants", "Tenants that have stored something.", () => engine.tenants().length)
  metrics.gauge("holdfast_node_available_bytes", "Bytes free for shares.", () => engine.availableBytes())
  metrics.gauge(
    "holdfast_certificate_end_seconds",
    "When the certificate ends, seconds since the epoch.",
    () => certificate.endsMs / 1000,
  )
  metrics.total("holdfast_node_read_errors_total", "Shares the disk failed to read.", () => engine.readErrors())
  const received = metrics.counter("holdfast_node_received_bytes_total", "Bytes of request bodies.")
  const sent = metrics.counter("holdfast_node_sent_bytes_total", "Bytes of answers.")
  const refused = metrics.counter("holdfast_node_refused_connections_total", "Connections refused by TLS.")
  const notTaken = metrics.counter(
    "holdfast_node_not_taken_total",
    "What clients were to store and the node did not take.",
  )
  for (const why of ["full", "quota", "io"]) notTaken.add(0, { what: "share", why }) // there from the start
  const scrubs = metrics.counter("holdfast_node_scrubs_total", "Finished scrubs.")
  const rot = metrics.counter("holdfast_node_rot_total", "Rotten shares and registers that scrubs found.")
  const requests = metrics.counter("holdfast_node_requests_total", "Requests answered.")
  const durations = metrics.histogram("holdfast_node_request_duration_seconds", "How long requests took.", secondBounds)
  for (const counter of [received, sent, refused, scrubs, rot]) counter.add(0) // there from the start
  return {
    get certificateEndsMs() {
      return certificate.endsMs
    },
    set certificateEndsMs(endsMs) {
      certificate.endsMs = endsMs
    },
    answered(endpoint, status, durationMs) {
      requests.add(1, { endpoint, status: String(status) })
      durations.observe(durationMs / 1000, { endpoint })
    },
    moved(receivedBytes, sentBytes) {
      received.add(receivedBytes)
      sent.add(sentBytes)
    },
    waiting(count) {
      waits.count = count
    },
    notTaken: ({ what, why, count }) => notTaken.add(count, { what, why }),
    refused: () => refused.add(),
    scrubbing(bytes) {
      scrub.bytes = bytes
    },
    scrubbed(rotten) {
      scrub.endedMs = Date.now()
      scrubs.add()
      rot.add(rotten)
    },
    render: () => metrics.render(),
  }
}

/** The largest tenants by name, the rest as one; no tenant's name has a parenthesis. */
function largest(tenants: ReturnType<Engine["tenants"]>): (readonly [string, number])[] {
  const sorted = tenants.map(({ name, usedBytes }) => [name, usedBytes] as const).sort((a, b) => b[1] - a[1])
  const rest = sorted.slice(tenantsNamed).reduce((sum, [, bytes]) => sum + bytes, 0)
  return [...sorted.slice(0, tenantsNamed), ...(sorted.length > tenantsNamed ? [["(other)", rest] as const] : [])]
}
