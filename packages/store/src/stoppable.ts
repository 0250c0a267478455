/** Signals for more than single calls: all that a store asks of its places, and all that one of its users asks. */
import type { Backend, CallOptions } from "@holdfast/protocol"
import type { ChunkStore, StoreOptions, WatchableRegisters } from "./types.ts"

/** The same backend, whose calls end when `signal` aborts; `backend` has methods of its own. */
export function withSignal(backend: Backend, signal: AbortSignal): Backend {
  const both = <O extends CallOptions>(options?: O): O => bothOf(options, signal)
  const { watchRegisters, publishRecord, sweep } = backend
  return {
    ...backend,
    putShares: async (shares, options) => backend.putShares(shares, both(options)),
    markShares: async (ids, options) => backend.markShares(ids, both(options)),
    getShares: async (queries, options) => backend.getShares(queries, both(options)),
    getBlocks: async (queries, options) => backend.getBlocks(queries, both(options)),
    hasShares: async (ids, options) => backend.hasShares(ids, both(options)),
    listMarks: async (options) => backend.listMarks(both(options)),
    listRegisters: async (options) => backend.listRegisters(both(options)),
    collectToken: async (options) => backend.collectToken(both(options)),
    unmark: async (order, options) => backend.unmark(order, both(options)),
    readRegisters: async (ids, options) => backend.readRegisters(ids, both(options)),
    keptValues: async (id, options) => backend.keptValues(id, both(options)),
    confirmMarks: async (registers, options) => backend.confirmMarks(registers, both(options)),
    proposeRegisters: async (values, options) => backend.proposeRegisters(values, both(options)),
    usage: async (options) => backend.usage(both(options)),
    ...(watchRegisters && { watchRegisters: async (watched, options) => watchRegisters(watched, both(options)) }),
    ...(publishRecord && { publishRecord: async (record, options) => publishRecord(record, both(options)) }),
    ...(sweep && { sweep: async (options) => sweep(both(options)) }),
  }
}

/** The same functions; whatever becomes of their work, they throw the signal's reason once it has aborted. */
export function stoppable<T extends object>(calls: T, signal: AbortSignal | undefined): T {
  if (!signal) return calls
  const stopped = Object.entries(calls).map(([name, call]: [string, unknown]) => [name, stoppedBy(call, signal)])
  return { ...calls, ...Object.fromEntries(stopped) }
}

/** What a call fails with after the signal says how its places failed, and not why: what is missing then is not lost. */
function stoppedBy(call: unknown, signal: AbortSignal): unknown {
  if (typeof call !== "function") return call
  return (...args: unknown[]) => {
    const result = call(...args)
    return result instanceof Promise ? result.finally(() => signal.throwIfAborted()) : result
  }
}

/** The same chunks for one user, whose calls end when `signal` aborts. */
export function stoppedChunks(chunks: ChunkStore, signal: AbortSignal): ChunkStore {
  return {
    buffers: chunks.buffers,
    putChunk: async (plaintext, options) => chunks.putChunk(plaintext, bothOf(options, signal)),
    getChunk: async (ref, options) => chunks.getChunk(ref, bothOf(options, signal)),
    readRange: async (ref, range, options) => chunks.readRange(ref, range, bothOf(options, signal)),
  }
}

/** The same registers for one user, whose calls end when `signal` aborts. */
export function stoppedRegisters(registers: WatchableRegisters, signal: AbortSignal): WatchableRegisters {
  const { watch } = registers
  return {
    read: async (keys, options) => registers.read(keys, bothOf(options, signal)),
    readCare: async (keys, options) => registers.readCare(keys, bothOf(options, signal)),
    write: async (keys, after, parts, options) => registers.write(keys, after, parts, bothOf(options, signal)),
    ...(watch && { watch: (keys, options) => watch(keys, bothOf(options, signal)) }),
  }
}

/** Throws once it has aborted: what is decided from answers that did not come must take nothing away. */
function bothOf<O extends CallOptions | StoreOptions>(options: O | undefined, signal: AbortSignal): O {
  signal.throwIfAborted()
  return { ...options, signal: eitherOf(options?.signal, signal) } as O
}

/** Aborts when one of them does. */
export function eitherOf(a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined {
  return a && b ? AbortSignal.any([a, b]) : (a ?? b)
}
