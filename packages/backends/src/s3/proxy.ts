/** The proxy between here and a bucket, as the environment names it. */
import type { AgentOptions } from "node:http"

/** What is on this machine is never behind a proxy. */
const local = ["localhost", "127.0.0.1", "::1"]

/**
 * Options of an agent that goes through the proxy which `env` names: HTTPS_PROXY, HTTP_PROXY, and NO_PROXY for hosts that are reached
 * without, in capitals or not, as other programs have them.
 */
export function proxyOf(env: NodeJS.ProcessEnv): Pick<AgentOptions, "proxyEnv"> {
  const of = (name: string) => env[name.toLowerCase()] || env[name] || undefined
  const [http, https] = [of("HTTP_PROXY"), of("HTTPS_PROXY")]
  if (!http && !https) return {}
  const NO_PROXY = [of("NO_PROXY"), ...local].filter(Boolean).join(",")
  return { proxyEnv: { ...(http && { HTTP_PROXY: http }), ...(https && { HTTPS_PROXY: https }), NO_PROXY } }
}
