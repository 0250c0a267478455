/** Looking after registers without their keys: what each server has of one, and bringing those behind up. */
import { type CryptoProvider, toHex } from "@holdfast/core"
import {
  type Backend,
  compareOrder,
  decodeRegisterValue,
  type RegisterId,
  type RegisterOrder,
  registerIdOf,
} from "@holdfast/protocol"

/** What one server has of a register. */
export interface RegisterCopy {
  /** First digits of the register's id. */
  readonly register: string
  readonly server: string
  /** What it is, where it is no tree's root. */
  readonly what?: string
  /** Absent when the server has none or an invalid one, or gave no answer. */
  readonly sequence?: number
  readonly problem?: string
}

interface HeldCopy {
  readonly bytes: Uint8Array
  readonly value: RegisterOrder
}

/** How a register is checked. */
export interface RegisterCheck {
  readonly repair?: boolean
  readonly what?: string
}

/**
 * Asks each server for its value of the register `id`, and verifies it; `repair` gives the newest to those without it. Needs no
 * secret.
 */
export async function checkRegister(
  backends: readonly Backend[],
  crypto: CryptoProvider,
  id: RegisterId,
  { repair = false, what }: RegisterCheck = {},
): Promise<RegisterCopy[]> {
  const register = toHex(id).slice(0, 16)
  const found = await Promise.all(
    backends.map(async (backend): Promise<RegisterCopy & { held?: HeldCopy }> => {
      const where = { register, server: backend.id, ...(what !== undefined && { what }) }
      try {
        const [bytes] = await backend.readRegisters([id])
        if (!bytes) return { ...where, problem: "has no value" }
        const value = await decodeRegisterValue(crypto, bytes)
        if (toHex(registerIdOf(value.publicKey)) !== toHex(id))
          return { ...where, problem: "gave another register's value" }
        return { ...where, sequence: value.sequence, held: { bytes, value } }
      } catch (error) {
        return { ...where, problem: error instanceof Error ? error.message : "gave no answer" }
      }
    }),
  )
  const newest = found.reduce<HeldCopy | undefined>(
    (high, { held }) => (held && (!high || compareOrder(held.value, high.value) > 0) ? held : high),
    undefined,
  )
  return Promise.all(
    found.map(async ({ held: own, ...copy }, position): Promise<RegisterCopy> => {
      if (!newest || (own && compareOrder(own.value, newest.value) === 0)) return copy
      const { epoch, sequence } = newest.value
      if (repair && (await isTaken(backends[position]!, newest.bytes)))
        return { register, server: copy.server, sequence, ...(what !== undefined && { what }) }
      const where = own && own.value.epoch !== epoch ? ` of epoch ${epoch}, which its owner began` : ""
      return own ? { ...copy, problem: `is behind: newest is ${sequence}${where}` } : copy
    }),
  )
}

async function isTaken(backend: Backend, value: Uint8Array): Promise<boolean> {
  const [outcome] = await backend.proposeRegisters([value]).catch(() => [])
  return outcome?.accepted === true
}
