/** Node: the storage daemon. */
export { type NodeLimits, type NodeOptions, type StorageNode, startNode } from "./node.ts"
