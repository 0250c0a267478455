/** Asks the places of a volume, or those named on the command line, for their parts of a recovery kit. */
import { type KitSecret, type PlaceAnswer, readParts } from "@holdfast/client/kits"
import { hasSecrets, pathsOf, profileDir } from "@holdfast/client/profile"
import { normalSecret, secretFor } from "@holdfast/client/recovery"
import { everyPlace, openBackends, parsePlaces } from "@holdfast/client/volumes"
import { BufferPool, HoldfastError } from "@holdfast/core"
import { nodeEnv as env } from "@holdfast/core/node"
import { type Backend, openRecoveryRegisterSeed, recoveryRegisterSeed, type VolumeBackend } from "@holdfast/protocol"
import type { Context } from "./context.ts"
import { readPassphrase } from "./passphrase.ts"

/** Where to ask, and for which kit. */
export interface PlaceFlags {
  readonly name: string
  readonly backend?: readonly string[]
}

/** What the places answered. */
export interface Asked {
  /** About the register that the words lead to; undefined without them. */
  readonly hidden: PlaceAnswer[] | undefined
  /** About the register that everybody finds. */
  readonly open: PlaceAnswer[]
  readonly places: readonly VolumeBackend[]
}

/** Asks each place for both registers. */
export async function askPlaces(
  context: Context,
  { backend, name }: PlaceFlags,
  master: Uint8Array | undefined,
): Promise<Asked> {
  const ask = async (backends: readonly Backend[]) => {
    const [hidden, open] = await Promise.all([
      master && readParts({ env, backends }, recoveryRegisterSeed(master)),
      readParts({ env, backends }, openRecoveryRegisterSeed(name)),
    ])
    return { hidden, open }
  }
  if (!backend) {
    const session = await context.openSession()
    const places = session.profile.volumes.get(session.volume)?.backends ?? []
    return { ...(await ask(everyPlace(session))), places }
  }
  const exists = hasSecrets(profileDir(pathsOf(context.env), context.profile))
  const needsGrid = exists && backend.some((text) => text.startsWith("node:"))
  const profile = needsGrid ? await context.openProfile() : undefined
  const places = await parsePlaces(profile, backend, { probe: false })
  const backends: Backend[] = (await openBackends(profile, places))(new BufferPool({ maxIdleBytes: 0 }))
  try {
    return { ...(await ask(backends)), places }
  } finally {
    await Promise.all(backends.map((one) => one.close()))
  }
}

/** Asks for words or passphrase. Throws ERR_WRONG_PASSPHRASE for words with a typing error, ERR_LOCKED without a terminal. */
export async function readKitSecret(file: string | undefined, name: string): Promise<KitSecret> {
  const options =
    "--kit-passphrase-file FILE, - for standard input; for a kit that was made without: --without-passphrase"
  const typed = await readPassphrase(file, "Words or passphrase of the recovery kit: ", options)
  if (typed.trim() === "") throw new HoldfastError("ERR_INVALID_ARGUMENT", "No words and no passphrase were given.")
  return secretFor(await normalSecret(typed), name)
}

/** A line for what a place answered. */
export function answerLine({ place, state, why, part }: PlaceAnswer): string {
  if (state === "part") return `ok   ${place}: part ${part!.index + 1} of ${part!.body.shareHashes.length}`
  if (state === "none") return `none ${place}: holds no part`
  if (state === "erased") return `none ${place}: holds no part; it was erased`
  return state === "bad" ? `BAD  ${place}: ${why}` : `DOWN ${place}: ${why}`
}
