/** Devices with real profiles over places whose clock the test moves: everything below the commands, in this process. */
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { type AccountAccess, type Backend, parseVolume, type VolumeDescription } from "@holdfast/protocol"
import { createStore } from "@holdfast/store"
import { accessOf } from "../src/account/account.ts"
import { pathsOf } from "../src/profile/paths.ts"
import { createProfile, openProfile, type Profile } from "../src/profile/profile.ts"
import type { Session } from "../src/volumes/session.ts"

/** Removes what a test made. */
export interface After {
  after(done: () => unknown): void
}

/** A place, which each device opens for its own account. */
export interface TestPlace {
  readonly id: string
  backendOf(access: AccountAccess): Backend
}

/** A device. */
export interface Device {
  readonly profile: Profile
  readonly folder: string
  /** A session with its volume, as a command opens it. */
  open(): Promise<Session>
}

/** The id of the volume `disks`. */
export const volumeId = "00112233445566778899aabbccddeeff"

/** The volume `disks` over five places. */
export function volumeOver(places: readonly TestPlace[], kind: "directory" | "s3" = "directory"): VolumeDescription {
  return parseVolume({
    version: 1,
    id: volumeId,
    name: "disks",
    coding: { k: 2, happy: 3, n: places.length },
    registerMode: "crash",
    backends: places.map(({ id }) =>
      kind === "s3"
        ? { kind, id, bucket: id, prefix: "", region: "us-east-1", pathStyle: true, conditionalWrites: true }
        : { kind, id, path: `/${id}` },
    ),
  })
}

/** A new device of a new account. */
export async function createDevice(t: After, places: readonly TestPlace[], kind?: "s3"): Promise<Device> {
  const folder = fs.mkdtempSync(join(tmpdir(), "holdfast-device-"))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  const paths = pathsOf({ HOME: folder })
  await createProfile(paths, "default")
  const profile = await openProfile(paths, "default", () => Promise.reject(new Error("asked for a passphrase")))
  await profile.setVolume(volumeOver(places, kind))
  return { profile, folder, open: () => openOver(profile, places) }
}

/** A session of a device with its volume. */
export async function openOver(profile: Profile, places: readonly TestPlace[]): Promise<Session> {
  const { coding, registerMode, name, id } = profile.volumes.get("disks")!
  const account = await profile.account()
  const store = await createStore({
    env: nodeEnv,
    servers: places.map((place) => ({ backend: place.backendOf(accessOf(account)), weight: 1 })),
    account: account.id,
    ...{ coding, registerMode },
    seen: profile.seen,
    device: () => profile.device(),
    ownerOf: async (register) => nodeCrypto.publicKeyOf(await profile.ownerSeed(register)),
  })
  return {
    ...{ profile, volume: name, storage: `volume/${id}`, coding, registerMode, env: nodeEnv, store },
    ...{
      backends: store.backends,
      voters: store.voters,
      witnesses: [],
      nameOf: (place) => place,
      isTaking: () => true,
      isCurrent: async () => true,
      close: () => store.close(),
    },
  }
}
