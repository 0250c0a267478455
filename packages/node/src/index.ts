/** Node: the storage daemon. */
export { type NodeLimits, type NodeOptions, type NodeQuotas, type StorageNode, startNode } from "./node.ts"
