/** Backends that do something around each call of another. */
import type { Backend, CallOptions } from "./backend.ts"

/** The calls of a backend that reach its place. */
export type BackendCall = Exclude<keyof Backend, "id" | "marksWithAnswer" | "close">

/** Where among a call's arguments its options stand. */
const optionsAt = {
  ...{ putShares: 1, markShares: 1, getShares: 1, getBlocks: 1, hasShares: 1, listMarks: 0, listRegisters: 0 },
  ...{ collectToken: 0, unmark: 1, readRegisters: 1, keptValues: 1, watchRegisters: 1, proposeRegisters: 1, usage: 0 },
  ...{ sweep: 0, confirmMarks: 1, publishRecord: 1 },
} as const satisfies Record<BackendCall, 0 | 1>

/** One call on its way to a backend. */
export interface Passing {
  readonly name: BackendCall
  readonly args: readonly unknown[]
  /** Makes the call, with other options when they are given. */
  send(options?: CallOptions): Promise<unknown>
}

/**
 * The same backend, whose calls go through `around`, which gives what `send` gave or throws. Calls that the backend lacks are lacking,
 * and `close` closes it.
 */
export function wrapBackend(backend: Backend, around: (call: Passing) => Promise<unknown>): Backend {
  const calls = (Object.keys(optionsAt) as BackendCall[])
    .filter((name) => backend[name])
    .map((name) => {
      const send = (args: readonly unknown[]) =>
        (backend[name] as (...args: unknown[]) => Promise<unknown>).call(backend, ...args)
      const wrapped = (...args: unknown[]) =>
        around({
          ...{ name, args },
          send: async (options) => send(options ? [...args.slice(0, optionsAt[name]), options] : args),
        })
      return [name, wrapped] as const
    })
  return { ...backend, id: backend.id, ...Object.fromEntries(calls), close: () => backend.close() }
}

/** A place that is not there, or not yet: what answers its calls, and those that it has not. */
export interface Answering {
  readonly lacking: readonly BackendCall[]
  answer(name: BackendCall, args: readonly unknown[]): Promise<unknown>
  close(): Promise<void>
}

/** A backend without a place behind it. */
export function answeringBackend(id: string, { lacking, answer, close }: Answering): Backend {
  const calls = (Object.keys(optionsAt) as BackendCall[])
    .filter((name) => !lacking.includes(name))
    .map((name) => [name, (...args: unknown[]) => answer(name, args)] as const)
  return { ...(Object.fromEntries(calls) as Omit<Backend, "id" | "marksWithAnswer" | "close">), id, close }
}

/** The options that a call was given. */
export function optionsOf({ name, args }: Pick<Passing, "name" | "args">): CallOptions | undefined {
  return args[optionsAt[name]] as CallOptions | undefined
}
