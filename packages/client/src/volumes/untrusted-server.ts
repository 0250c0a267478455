/** Servers of a grid that the user has not confirmed, or that have left it. */
import { HoldfastError } from "@holdfast/core"
import { answeringBackend, type Backend } from "@holdfast/protocol"

/** A server that is read, since others may have stored there, and takes nothing until the user confirms it. */
export function readOnlyServer(backend: Backend, name: string): Backend {
  const message = `${name} is new and waits for your word: holdfast grid accept`
  return {
    ...backend,
    putShares: async (shares) => shares.map(() => ({ ok: false, code: "full", message }) as const),
    markShares: async (ids) => ids.map(() => ({ ok: false, code: "io", message }) as const),
    proposeRegisters: async () => {
      throw new HoldfastError("ERR_REFUSED", message, { server: backend.id })
    },
  }
}

/** A server that kept registers and is no member any more: it counts as one that is gone. */
export function goneVoter(id: string): Backend {
  const message = `${id} has left the grid and still counts among those that keep the roots of trees. Its operator names others: holdfast coordinator voters`
  return answeringBackend(id, {
    lacking: ["sweep", "watchRegisters"],
    answer: () => Promise.reject(new HoldfastError("ERR_SERVER_UNREACHABLE", message, { server: id })),
    close: () => Promise.resolve(),
  })
}
