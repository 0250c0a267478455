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

/** Where buckets of a description may lie, and where not. */
export function volumeHostVectors(): Promise<object> {
  const volume = (host: object) => ({
    ...{ version: 1, id: "00112233445566778899aabbccddeeff", name: "clouds", registerMode: "crash" },
    coding: { k: 1, happy: 1, n: 1 },
    backends: [
      {
        ...{ kind: "s3", id: "b@s3", bucket: "b", prefix: "", region: "us-east-1", pathStyle: true },
        ...{ conditionalWrites: true, ...host },
      },
    ],
  })
  const good = (host: object) => parseVolume(volume(host)) // with its fields in their order
  const endpoints = ["https://s3.example.org", "http://[::1]:9000", "https://127.0.0.1/s3/", "http://minio_1:9000"]
  const bad = (name: string, host: object) => ({ name, value: volume(host), error: "ERR_BAD_FORMAT" })
  return Promise.resolve({
    good: [...endpoints.map((endpoint) => good({ endpoint })), good({ region: "" }), good({ region: "eu-1.x_y" })],
    bad: [
      bad("an endpoint that is no URL", { endpoint: "s3.example.org" }),
      bad("another scheme", { endpoint: "file:///etc/passwd" }),
      bad("another scheme before it", { endpoint: "file:https://s3.example.org" }),
      bad("a name and a password", { endpoint: "https://key:secret@s3.example.org" }),
      bad("a name", { endpoint: "https://s3.example.org@evil.example" }),
      bad("a backslash", { endpoint: "https://s3.example.org\\\\@evil.example" }),
      bad("a query", { endpoint: "https://evil.example?s3.example.org" }),
      bad("a fragment", { endpoint: "https://evil.example#s3.example.org" }),
      bad("a blank", { endpoint: "https://evil.example /" }),
      bad("a line end", { endpoint: "https://evil.example\n" }),
      bad("a text-direction mark", { endpoint: "https://\u202eexample" }),
      bad("a region that is a host", { region: "evil.example/" }),
      bad("a region with a fragment", { region: "evil.example#" }),
      bad("a region with a name", { region: "x@evil.example" }),
      bad("a region that ends in a line end", { region: "us-east-1\n" }),
    ],
  })
}
