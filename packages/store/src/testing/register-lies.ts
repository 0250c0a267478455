/** Lies about registers. */
import { equal, limits, toHex } from "@holdfast/core"
import type { Backend, ProposeOutcome } from "@holdfast/protocol"
import type { Heard, LieMaker } from "./heard.ts"

/** Names of the lies here. */
export type RegisterLie = keyof typeof registerLies

/** Changes each value that the honest server would give. */
function given(change: (value: Uint8Array, id: Uint8Array, heard: Heard) => Uint8Array | undefined): LieMaker {
  return (honest, heard) => ({
    readRegisters: async (ids, options) =>
      (await honest.readRegisters(ids, options)).map((value, i) => value && change(value.slice(), ids[i]!, heard)),
  })
}

/** Refuses each value, and says to hold another. */
function refusing(current: (value: Uint8Array, id: Uint8Array, heard: Heard) => Uint8Array | undefined): LieMaker {
  return (_honest, heard) => ({
    proposeRegisters: (values) =>
      Promise.all(
        values.map(async (value): Promise<ProposeOutcome> => {
          const held = current(value.slice(), await heard.registerOf(value), heard)
          return { accepted: false, message: "another value is held", ...(held && { current: held }) }
        }),
      ),
  })
}

function flipped(value: Uint8Array, position: number): Uint8Array {
  value[position]! ^= 1
  return value
}

/** Keeps two sides of clients apart, each with a history of its own. */
function fork(honest: Backend, heard: Heard, client: number): Partial<Backend> {
  const side = client % 2
  const held = sidesOf(heard)[side]!
  return {
    async proposeRegisters(values) {
      for (const value of values) held.set(toHex(await heard.registerOf(value)), value.slice())
      return values.map(() => ({ accepted: true, vouches: true }))
    },
    async readRegisters(ids, options) {
      const known = await honest.readRegisters(ids, options)
      return ids.map((id, i) => held.get(toHex(id)) ?? known[i])
    },
  }
}

const sides = new WeakMap<Heard, readonly Map<string, Uint8Array>[]>()

function sidesOf(heard: Heard): readonly Map<string, Uint8Array>[] {
  const known = sides.get(heard) ?? [new Map<string, Uint8Array>(), new Map<string, Uint8Array>()]
  sides.set(heard, known)
  return known
}

/** Lies about registers. */
export const registerLies = {
  /** The first value for ever; new ones are accepted and forgotten. */
  "stale registers": (_honest, heard) => ({
    readRegisters: async (ids) => ids.map((id) => heard.values(id)[0]),
    proposeRegisters: async (values) => values.map(() => ({ accepted: true, vouches: true })),
  }),
  /** One value behind. */
  "late registers": (_honest, heard) => ({
    readRegisters: async (ids) => ids.map((id) => heard.values(id).at(-2)),
    proposeRegisters: async (values) => values.map(() => ({ accepted: true, vouches: true })),
  }),
  /** Different registers to different clients. */
  "forked registers": fork,
  "hidden registers": given(() => undefined),
  "value with a wrong signature": given((value) => flipped(value, value.length - 1)),
  "value with altered content": given((value) => flipped(value, value.length >> 1)),
  "truncated value": given((value) => value.subarray(0, value.length - 1)),
  "oversize value": given((value) => {
    const longer = new Uint8Array(limits.registerValueBytes + 1)
    longer.set(value)
    return longer
  }),
  "value of another register": given((value, id, heard) => heard.otherValues(id).at(-1) ?? value.subarray(1)),
  /** Refuses, and shows as reason a value that nobody signed. */
  "refuses with an unsigned value": refusing((value) => flipped(value, value.length - 1)),
  "refuses with a value of another key": refusing((_value, id, heard) => heard.otherValues(id).at(-1)),
  "refuses with the same value": refusing((value) => value),
  "refuses with an older value": refusing((value, id, heard) => heard.values(id).find((older) => !equal(older, value))),
} satisfies Record<string, LieMaker>
