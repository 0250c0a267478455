/** What a command asked of its servers, told to who wants to know: each request, or how many there were and how long they took. */
import type { TracedRequest } from "@holdfast/store"
import { sizeText } from "./progress.ts"
import { plural } from "./words.ts"

interface Tally {
  readonly server: string
  requests: number
  failed: number
  sentBytes: number
  receivedBytes: number
  totalMs: number
  longestMs: number
}

/** Counts the requests of a command by server. */
export class Requests {
  readonly #tallies = new Map<string, Tally>()

  add({ server, sentBytes, receivedBytes, ms, error }: TracedRequest): void {
    const none = { server, requests: 0, failed: 0, sentBytes: 0, receivedBytes: 0, totalMs: 0, longestMs: 0 }
    const tally = this.#tallies.get(server) ?? none
    this.#tallies.set(server, tally)
    tally.requests++
    if (error !== undefined) tally.failed++
    tally.sentBytes += sentBytes
    tally.receivedBytes += receivedBytes
    tally.totalMs += ms
    tally.longestMs = Math.max(tally.longestMs, ms)
  }

  /** A line for each server; `nameOf` is what people call it. */
  lines(nameOf: (id: string) => string): string[] {
    return [...this.#tallies.values()].map(
      ({ server, requests, failed, sentBytes, receivedBytes, totalMs, longestMs }) =>
        `${nameOf(server)}: ${plural(requests, "request")}${failed > 0 ? `, ${failed} of them failed` : ""}, ${sizeText(sentBytes)} sent, ` +
        `${sizeText(receivedBytes)} received, ${Math.round(totalMs / requests)} ms on average, ${Math.round(longestMs)} ms at most`,
    )
  }
}

/** A request in one line. */
export function requestLine(
  { name, items, sentBytes, receivedBytes, ms, error }: TracedRequest,
  server: string,
): string {
  const what = `${name} of ${items}: ${sizeText(sentBytes)} sent, ${sizeText(receivedBytes)} received`
  return `${server} ${what}, ${Math.round(ms)} ms${error === undefined ? "" : `, ${error}`}`
}
