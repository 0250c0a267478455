/** Node: the storage daemon. */
export { jsonLogger, type LogFields, type Logger, type LogLevel } from "./log.ts"
export { type NodeOptions, type StorageNode, startNode } from "./node.ts"
