/**
 * Servers that lie, for tests: a backend around an honest one for each lie. A liar has heard what honest servers heard, so
 * its lies are as good as they get without keys: genuine shares of other chunks, genuine values of older days.
 */
import type { Backend } from "@holdfast/protocol"
import { createHeard, type LiarOptions, type LieMaker } from "./heard.ts"
import { type RegisterLie, registerLies } from "./register-lies.ts"
import { type ShareLie, shareLies } from "./share-lies.ts"

/** Every lie there is. */
export type Lie = ShareLie | RegisterLie

/** Lies by name: about shares or about everything, and about registers. */
export const lies: readonly Lie[] = [
  ...(Object.keys(shareLies) as ShareLie[]),
  ...(Object.keys(registerLies) as RegisterLie[]),
]

/** A server that tells one lie. */
export interface Liar {
  /** The server as the client with this number sees it. */
  forClient(client: number): Backend
}

/** `honest` as a server that tells `lie`. */
export function createLiar(honest: Backend, lie: Lie, options: LiarOptions): Liar {
  const make: LieMaker = { ...shareLies, ...registerLies }[lie]
  const heard = createHeard(options)
  return {
    forClient(client) {
      const lying: Backend = { ...honest, ...make(honest, heard.heard, client) }
      return {
        ...lying,
        putShares(shares, callOptions) {
          heard.hearShares(shares)
          return lying.putShares(shares, callOptions)
        },
        async proposeRegisters(values, callOptions) {
          await heard.hearValues(values)
          return lying.proposeRegisters(values, callOptions)
        },
      }
    },
  }
}
