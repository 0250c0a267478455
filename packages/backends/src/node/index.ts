/** Backends that need Node: a local directory and the client of a storage node. */
export * from "../directory/index.ts"
export { createNodeBackend, type NodeBackend } from "./client.ts"
export type { NodeAnswer, NodeBackendOptions, NodeCall } from "./send.ts"
