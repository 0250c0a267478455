/** Signals for more than single calls: all that a store asks of its places, and all that one of its users asks. */
import { type Backend, type CallOptions, optionsOf, wrapBackend } from "@holdfast/protocol"
import type { ChunkStore, StoreOptions, WatchableRegisters } from "./types.ts"

/** The same backend, whose calls end when `signal` aborts. */
export function withSignal(backend: Backend, signal: AbortSignal): Backend {
  return wrapBackend(backend, async (call) => call.send(bothOf(optionsOf(call), signal)))
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
