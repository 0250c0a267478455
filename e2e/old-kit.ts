/** Recovery kits of version 1, as they still lie on places: no version that is in use makes them any more. */
import { randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { deflateRawSync } from "node:zlib"
import { readParts, writeParts } from "@holdfast/client/kits"
import { keyOfPassphrase, openProfile, pathsOf } from "@holdfast/client/profile"
import { openSession } from "@holdfast/client/volumes"
import { concat, encodeCbor, toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  decodeRecoveryPart,
  encodeRecoveryParts,
  openRecoveryRegisterSeed,
  type PassphraseParameters,
  recoveryKeyCheck,
  recoveryShareHash,
  sealRecoveryBody,
} from "@holdfast/protocol"
import { quorumOf } from "@holdfast/store"
import { split } from "shamir-secret-sharing"

/** Puts one on the places of the profile that `env` has, and into what the profile remembers. */
export async function makeOldKit(env: NodeJS.ProcessEnv, passphrase?: string): Promise<void> {
  const nobody = () => Promise.reject(new Error("nobody can be asked"))
  const profile = await openProfile(pathsOf(env), "default", nobody)
  const session = await openSession(profile, {})
  try {
    const { backends, volume, registerMode } = session
    const places = backends.map(({ id }) => id)
    const threshold = backends.length - quorumOf(backends.length, registerMode) + 1
    const content = encodeCbor([
      ...[1, Date.now(), volume, places, profile.convergenceSecret, Object.fromEntries(profile.aliases)],
      Object.fromEntries([...profile.aliases.keys()].flatMap((one) => (volume === "grid" ? [] : [[one, volume]]))),
      [...profile.volumes.values()].map((one) => JSON.parse(JSON.stringify(one))),
      "",
    ])
    const parts = await partsOf(content, { n: places.length, threshold, passphrase })
    const seed = openRecoveryRegisterSeed("main")
    const failures = await writeParts(session, seed, { parts, answers: await readParts(session, seed) })
    if (failures.some((why) => why !== undefined)) throw new Error(`not written: ${failures.join("; ")}`)
    const id = toHex(decodeRecoveryPart(parts[0]!).kitId)
    const kit = { name: "main", volume, createdMs: Date.now(), ids: [id], digest: "0".repeat(64) }
    writeFileSync(join(profile.dir, "recovery.json"), JSON.stringify({ version: 1, kits: [kit] }), { mode: 0o600 })
  } finally {
    await session.close()
  }
}

interface Shape {
  readonly n: number
  readonly threshold: number
  readonly passphrase: string | undefined
}

async function partsOf(content: Uint8Array, { n, threshold, passphrase }: Shape): Promise<Uint8Array[]> {
  const key = new Uint8Array(randomBytes(32))
  const shares = await split(key, n, threshold)
  const salt = new Uint8Array(randomBytes(16))
  const parameters: PassphraseParameters = { memoryKiB: 64, passes: 1, lanes: 1, salt }
  const master = passphrase === undefined ? undefined : (await keyOfPassphrase(passphrase, parameters)).master
  const deflated = deflateRawSync(content)
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, deflated.length)
  const open = {
    ...{ version: 1 as const, threshold, keyCheck: recoveryKeyCheck(key), isProtected: master !== undefined },
    shareHashes: shares.map((share, index) => recoveryShareHash(index, share)),
    ...(master && { passphrase: parameters }),
  }
  return encodeRecoveryParts(
    await sealRecoveryBody(crypto, open, { key, master, plaintext: concat(length, deflated) }),
    shares,
  )
}
