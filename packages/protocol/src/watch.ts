/** What a place holds of registers that are watched, where it has no shorter way to tell. */
import type { Backend, CallOptions, WatchedRegister } from "./backend.ts"
import { registerHashOf } from "./register.ts"

/** Hashes of the values that `backend` holds now, by reading them. Throws what reading throws. */
export async function readHashes(
  backend: Pick<Backend, "readRegisters">,
  watched: readonly WatchedRegister[],
  options: CallOptions = {},
): Promise<(Uint8Array | undefined)[]> {
  const values = await backend.readRegisters(
    watched.map(({ id }) => id),
    options,
  )
  return values.map((value) => value && registerHashOf(value))
}
