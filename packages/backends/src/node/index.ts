/** Backends that need Node: a local directory and the client of a storage node. */
export * from "../directory/index.ts"
export {
  createNodeBackend,
  type NodeAnswer,
  type NodeBackend,
  type NodeBackendOptions,
  type NodeCall,
} from "./client.ts"
