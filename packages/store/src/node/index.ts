/** The Node side of the store: worker threads for chunk work. */
export { createWorkerPool, type WorkerPoolOptions } from "./worker-pool.ts"
