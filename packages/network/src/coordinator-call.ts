/** Requests to the coordinator: JSON both ways. */
import { fromUtf8, HoldfastError, text, utf8 } from "@holdfast/core"
import { newestGridVersion } from "@holdfast/protocol"
import * as v from "valibot"
import { type BytesResponse, createAgent, requestBytes } from "./tls/agent.ts"
import type { Credentials } from "./tls/expected.ts"
import { RevokedKeys } from "./tls/revoked.ts"
import { parseAddress } from "./tls/unreachable.ts"

/** Says the newest version of a grid description that a member reads; without it that is 3. */
export const readsHeader = "holdfast-reads"

/** A request to the coordinator. */
export interface CallOptions {
  readonly method?: string
  readonly path: string
  readonly body?: unknown
  /** The coordinator's member id, once it is known. */
  readonly expectedId?: string
  /** Keys that are not accepted any more. */
  readonly revoked?: readonly string[] | undefined
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** Sends a request with connections of its own. Throws ERR_SERVER_UNREACHABLE, ERR_REFUSED. */
export async function call(credentials: Credentials, address: string, options: CallOptions): Promise<BytesResponse> {
  const { method = "GET", path, body, expectedId, revoked = [], timeoutMs = 30_000, signal } = options
  const agent = createAgent(credentials, {
    expectedRole: "coordinator",
    revoked: new RevokedKeys(revoked),
    ...(expectedId ? { expectedId } : {}),
  })
  try {
    return await requestBytes(agent, {
      ...parseAddress(address),
      method,
      path,
      timeoutMs,
      headers: { "content-type": "application/json", [readsHeader]: String(newestGridVersion) },
      ...(body === undefined ? {} : { body: utf8(JSON.stringify(body)) }),
      ...(signal ? { signal } : {}),
    })
  } finally {
    agent.destroy()
  }
}

const problemSchema = v.object({
  code: v.picklist([
    "ERR_INVITE",
    "ERR_REFUSED",
    "ERR_BAD_FORMAT",
    "ERR_LIMIT",
    "ERR_INVALID_ARGUMENT",
    "ERR_UNSUPPORTED_VERSION",
  ]),
  message: text(1000),
})

/** The JSON of a successful answer; a failed one becomes the error it describes. */
export function jsonOf({ status, body }: BytesResponse, who: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(fromUtf8(body))
  } catch {
    throw new HoldfastError("ERR_REMOTE", `${who} answered with status ${status} and no JSON.`, { status })
  }
  if (status === 200) return value
  if (v.is(problemSchema, value)) throw new HoldfastError(value.code, value.message, { status, proven: true })
  throw new HoldfastError("ERR_REMOTE", `${who} failed with status ${status}. Look into its log.`, { status })
}
