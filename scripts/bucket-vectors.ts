/** The frozen vectors of version 2 of a bucket: keys with generations, marks, lists and markers, good and bad. */
import { concat, HoldfastError, hashSmall, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { pack } from "../packages/backends/src/s3/ids.ts"
import {
  accountPrefix,
  condemnedKey,
  dropKey,
  markName,
  parseShareKey,
  retireKey,
  shareKey,
  sweptKey,
} from "../packages/backends/src/s3/keys.ts"
import {
  type Condemned,
  condemnedRecord,
  condemnedRecordBytes,
  decodeMarks,
  encodeCondemned,
  encodeMarks,
  encodeRetired,
} from "../packages/backends/src/s3/lists.ts"
import { encodeMarker, newMarker } from "../packages/backends/src/s3/marker.ts"

const idOf = (name: string) => hashSmall("vectors", utf8(name))

/** The word that an account is dropped. */
export async function droppedVectors() {
  const account = idOf("dropped")
  return { account: toHex(account), key: dropKey(account), bytes: toHex(await encodeRetired(crypto, [])) }
}

/** All of them. */
export async function bucketVectors() {
  const account = idOf("account")
  const name = markName(42, idOf("random").subarray(0, 8))
  const marks = { chunks: pack([idOf("a"), idOf("b")]), registers: pack([idOf("r")]), sinceMs: 1_790_000_000_000 }
  const good = await encodeMarks(crypto, marks)
  const rotten = good.slice()
  rotten[25]! ^= 1
  const newer = good.slice()
  newer[3] = 2
  const condemned: Condemned[] = [
    { kind: "share", id: idOf("a"), index: 2, generation: 0 },
    { kind: "share", id: idOf("a"), index: 2, generation: 7 },
    { kind: "value", id: idOf("r"), sequence: 9 },
  ]
  const unsorted = { ...marks, chunks: concat(marks.chunks.subarray(32), marks.chunks.subarray(0, 32)) }
  const bad = {
    rotten,
    newer,
    short: good.subarray(0, 51),
    unsorted: await encodeMarks(crypto, unsorted),
    "wrong magic": concat(utf8("HFC"), good.subarray(3)),
  }
  return {
    shares: [0, 1, 999_999].map((generation) => ({
      ...{ id: toHex(idOf("a")), index: 2, generation },
      key: shareKey(idOf("a"), 2, generation),
    })),
    notShares: [".000000", ".1", ".0000001"].map((end) => `${shareKey(idOf("a"), 2)}${end}`).filter(isNoShare),
    keys: {
      account: toHex(account),
      mark: `${accountPrefix(account)}${name}`,
      retire: retireKey(account, idOf("token").subarray(0, 16)),
      condemned: condemnedKey("0123456789abcdef"),
      swept: sweptKey("0123456789abcdef"),
    },
    marks: {
      chunks: [idOf("a"), idOf("b")].map(toHex).sort(),
      registers: [toHex(idOf("r"))],
      sinceMs: marks.sinceMs,
      bytes: toHex(good),
    },
    retired: { names: [name], bytes: toHex(await encodeRetired(crypto, [name])) },
    condemned: {
      objects: condemned.map((object) => ({ ...object, id: toHex(object.id) })),
      bytes: toHex(await encodeCondemned(crypto, pack(condemned.map(condemnedRecord), condemnedRecordBytes))),
    },
    markers: [false, true].map((isUpgrading) => {
      const marker = { ...newMarker("0123456789abcdef".repeat(2)), isUpgrading }
      return { ...marker, text: new TextDecoder().decode(encodeMarker(marker)) }
    }),
    badMarks: await Promise.all(
      Object.entries(bad).map(async ([why, bytes]) => ({ why, bytes: toHex(bytes), error: await errorOf(bytes) })),
    ),
  }
}

function isNoShare(key: string): boolean {
  return parseShareKey(key) === undefined
}

async function errorOf(bytes: Uint8Array): Promise<string> {
  try {
    await decodeMarks(crypto, bytes, "key")
  } catch (error) {
    if (error instanceof HoldfastError) return error.code
    throw error
  }
  throw new Error("a bad vector that decodes")
}
