/** Node: the storage daemon. */
export { type NodeOptions, type StorageNode, startNode } from "./node.ts"
