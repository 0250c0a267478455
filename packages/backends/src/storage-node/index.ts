/** The client of a storage node; whoever calls gives it the way to send. */
export { createNodeBackend, type NodeBackend } from "./client.ts"
export type { NodeAnswer, NodeBackendOptions, NodeCall } from "./send.ts"
