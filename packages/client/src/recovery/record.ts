/**
 * What a profile remembers of the recovery kits it made, in `recovery.json`: which ones may be replaced, and whether
 * something was added since. Nothing in it opens anything.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { encodeCbor, integer, list, macSmall, matching, text, toHex } from "@holdfast/core"
import { writeSecretFile } from "@holdfast/core/node"
import * as v from "valibot"
import type { Profile } from "../profile/profile.ts"
import { readJson } from "../profile/secrets.ts"

const kitSchema = v.strictObject({
  name: text(64),
  volume: text(64),
  createdMs: integer(),
  /** Of this kit and those that it replaced, the newest first: after a failure, places may hold either. */
  ids: list(matching(/^[0-9a-f]{64}$/), 8),
  /** 2 when it is of that version; those without it anybody may find who reads the places. */
  format: v.optional(v.literal(2)),
  /** Places of which it is not known that they hold a part of the newest. */
  missing: v.optional(list(text(400), 255)),
  /** The keys of buckets are in it: the next one gets them too. */
  bucketKeys: v.optional(v.boolean()),
  /** Keyed digest of what the kit restores. */
  digest: matching(/^[0-9a-f]{64}$/),
})
const recordSchema = v.strictObject({ version: v.literal(1), kits: list(kitSchema, 1000) })

/** What is remembered of a kit. */
export type KitRecord = v.InferOutput<typeof kitSchema>

const mostIds = 8

/** The kits that this profile made or was restored from. */
export async function readRecord({ dir }: Pick<Profile, "dir">): Promise<readonly KitRecord[]> {
  const path = pathOf(dir)
  return existsSync(path) ? (await readJson(path, recordSchema)).kits : []
}

/** Remembers a kit in the place of the one with its name on its volume. */
export async function remember(profile: Pick<Profile, "dir">, kit: Omit<KitRecord, "ids"> & { id: string }) {
  const { id, ...rest } = kit
  const kits = await readRecord(profile)
  const isSame = (one: KitRecord) => one.name === kit.name && one.volume === kit.volume
  const earlier = kits.find(isSame)?.ids.filter((one) => one !== id) ?? []
  const next = { ...rest, ids: [id, ...earlier].slice(0, mostIds) }
  const record = { version: 1, kits: [...kits.filter((one) => !isSame(one)), next] }
  await writeSecretFile(pathOf(profile.dir), `${JSON.stringify(record, null, 1)}\n`)
}

/** What a kit restores; what was seen does not count: it changes all the time. */
export type Restorable = Pick<Profile, "convergenceSecret" | "aliases" | "volumeOf" | "volumes" | "otherSecrets">

/** Changes whenever a kit would restore something else. */
export function digestOf(profile: Restorable): string {
  const aliases = [...profile.aliases].map(([alias, cap]) => [alias, cap, profile.volumeOf(alias) ?? null])
  // Through JSON, since CBOR has no place for what is absent; then the order of fields does not count.
  const volumes = [...profile.volumes].map(([name, volume]) => [name, JSON.parse(JSON.stringify(volume))])
  const others = [...profile.otherSecrets]
  const sorted = [aliases, volumes, others].map((list) => list.sort(([a], [b]) => (a! < b! ? -1 : 1)))
  return toHex(macSmall(profile.convergenceSecret, "holdfast/recovery-digest/2", encodeCbor(sorted)))
}

function pathOf(dir: string): string {
  return join(dir, "recovery.json")
}
