/** Vectors of descriptions of volumes of version 2 and of statements about moves. */
import { hashSmall, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { parseVolume, signVolumeMove, volumeDigest } from "@holdfast/protocol"

/** Descriptions with their digests, and statements, good and bad. */
export async function volumeVectors(): Promise<object> {
  const seed = hashSmall("vectors", utf8("volume key"))
  const publicKey = toHex(await crypto.publicKeyOf(seed))
  const place = (id: string) => ({ kind: "directory", id, path: `/mnt/${id}` })
  const first = parseVolume({
    version: 2,
    id: "00112233445566778899aabbccddeeff",
    name: "disks",
    coding: { k: 2, happy: 3, n: 3 },
    registerMode: "crash",
    backends: ["a", "b", "c"].map(place),
    epoch: 1,
    previous: null,
    publicKey,
  })
  const second = parseVolume({
    ...first,
    backends: ["b", "c", "d"].map(place),
    epoch: 2,
    previous: volumeDigest(first),
  })
  const { epoch: _epoch, ...noEpoch } = first
  const bad = (name: string, value: object) => ({ name, value, error: "ERR_BAD_FORMAT" })
  const [sealed, active] = await Promise.all(
    (["sealed", "active"] as const).map(async (state) =>
      toHex(await signVolumeMove(crypto, seed, { state, next: second })),
    ),
  )
  const otherKey = toHex(
    await signVolumeMove(crypto, hashSmall("vectors", utf8("other key")), { state: "sealed", next: second }),
  )
  const otherVolume = { ...second, id: "f".repeat(32) }
  return {
    good: [first, second],
    digests: [volumeDigest(first), volumeDigest(second)],
    bad: [
      bad("no epoch", noEpoch),
      bad("epoch 0", { ...first, epoch: 0 }),
      bad("an epoch in version 1", { ...first, version: 1 }),
      bad("a key of 31 bytes", { ...first, publicKey: publicKey.slice(2) }),
      bad("a previous that is no hash", { ...first, previous: "abc" }),
    ],
    moves: {
      good: [
        { bytes: sealed, state: "sealed", epoch: 2 },
        { bytes: active, state: "active", epoch: 2 },
      ],
      ignored: [
        { name: "another key", bytes: otherKey },
        { name: "a byte changed", bytes: `${sealed!.slice(0, -2)}20` },
        { name: "cut short", bytes: sealed!.slice(0, 120) },
        {
          name: "another volume",
          bytes: toHex(await signVolumeMove(crypto, seed, { state: "sealed", next: otherVolume })),
        },
      ],
    },
  }
}
