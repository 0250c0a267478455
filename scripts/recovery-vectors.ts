/** Vectors of recovery kits, version 2: whole kits with each step between, and parts and contents that must be refused. */
import { deflateRawSync } from "node:zlib"
import { type CborValue, concat, decodeCbor, encodeCbor, fromHex, hashSmall, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  decodeRecoveryPart,
  encodeCap,
  encodeRecoveryParts,
  encodeRecoverySecrets,
  openRecoveryRegisterSeed,
  type RecoverySecrets,
  recoveryKeyCheck,
  recoveryPassphraseParameters,
  recoveryRegisterSeed,
  recoveryShareHash,
  registerIdOf,
  sealRecoveryBody,
} from "@holdfast/protocol"
import type { RecoveryVectors } from "@holdfast/protocol/vectors"
import { paddedLength } from "@holdfast/store"
import { argon2id } from "hash-wasm"
import { split } from "shamir-secret-sharing"

type Good = RecoveryVectors["good"][number]
type Bad = RecoveryVectors["badParts"][number]

const bytesOf = (name: string) => hashSmall("vectors", utf8(name))

/** Makes them. Shares are random: no two runs give the same. */
export async function recoveryVectors(): Promise<RecoveryVectors> {
  const good = [
    await kit("with words, 2 of 3", { kitName: "main", threshold: 2, n: 3, secrets: secrets(3), passphrase: words }),
    await kit("with a passphrase, 2 of 4", {
      ...{ kitName: "laptop.2", threshold: 2, n: 4, secrets: secrets(4), passphrase: " für immer und ewig" },
    }),
    await kit("an empty profile without words, 3 of 7", { kitName: "main", threshold: 3, n: 7, secrets: empty(7) }),
  ]
  return { good, badParts: badParts(good[0]!), badContents: badContents(fromHex(good[0]!.content)) }
}

/** Entropy of 16 bytes: 0 to 15. */
const words = "abandon amount liar amount expire adjust cage candy arch gather drum buyer"

function secrets(n: number): RecoverySecrets {
  const places = Array.from({ length: n }, (_, i) => `disk${i}-0000000${i}`)
  return {
    ...empty(n),
    aliases: new Map([
      ["disks", encodeCap({ kind: "dw", seed: bytesOf("seed") })],
      ["home", encodeCap({ kind: "dr", publicKey: bytesOf("public key"), readKey: bytesOf("read key") })],
    ]),
    aliasVolumes: new Map([["disks", "disks"]]),
    localAliases: [],
    volumes: [
      {
        version: 1,
        id: "00112233445566778899aabbccddeeff",
        name: "disks",
        coding: { k: 2, happy: 3, n: 3 },
        registerMode: "crash",
        backends: places.map((id, i) => ({ kind: "directory", id, path: `/mnt/${i}` })),
      },
    ],
    seen: JSON.stringify({ version: 1, registers: { [toHex(bytesOf("register"))]: { sequence: 7 } } }),
    grid: { coordinator: "coord.example.org:7443", caFingerprint: bytesOf("authority") },
    bucketKeys: new Map([["s3://a", { accessKeyId: "AKEXAMPLE", secretAccessKey: "a/secret+key=" }]]),
    kits: new Map([["disks/main", bytesOf("master")]]),
    others: new Map([
      ["accountSeed", bytesOf("account seed")],
      ["laterSecret", new Uint8Array([1, 2, 3])],
    ]),
  }
}

function empty(n: number): RecoverySecrets {
  return {
    createdMs: 1_700_000_000_123,
    volume: "disks",
    places: Array.from({ length: n }, (_, i) => `disk${i}-0000000${i}`),
    convergenceSecret: bytesOf("convergence secret"),
    aliases: new Map(),
    aliasVolumes: new Map(),
    localAliases: [],
    volumes: [],
    seen: "",
    bucketKeys: new Map(),
    kits: new Map(),
    others: new Map(),
  }
}

interface Case {
  readonly kitName: string
  readonly threshold: number
  readonly n: number
  readonly secrets: RecoverySecrets
  readonly passphrase?: string
}

async function kit(name: string, { kitName, threshold, n, secrets, passphrase }: Case): Promise<Good> {
  const key = new Uint8Array(bytesOf(`key of ${name}`))
  const { memoryKiB, passes, lanes, salt } = recoveryPassphraseParameters(kitName)
  const master =
    passphrase === undefined
      ? undefined
      : await argon2id({
          password: passphrase,
          ...{ salt, memorySize: memoryKiB, iterations: passes, parallelism: lanes },
          ...{ hashLength: 32, outputType: "binary" },
        })
  const content = encodeRecoverySecrets(secrets)
  const deflated = deflateRawSync(content)
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, deflated.length)
  const unpadded = concat(length, deflated)
  const plaintext = concat(unpadded, new Uint8Array(paddedLength(unpadded.length) - unpadded.length))
  const shares = await split(key, n, threshold)
  const body = await sealRecoveryBody(
    crypto,
    {
      version: 2,
      threshold,
      shareHashes: shares.map((share, index) => recoveryShareHash(index, share)),
      keyCheck: recoveryKeyCheck(key),
      isProtected: master !== undefined,
    },
    { key, master, plaintext },
  )
  const parts = encodeRecoveryParts(body, shares)
  const seed = master ? recoveryRegisterSeed(master) : openRecoveryRegisterSeed(kitName)
  return {
    name,
    kitName,
    registerSeed: toHex(seed),
    registerId: toHex(registerIdOf(await crypto.publicKeyOf(seed))),
    threshold,
    key: toHex(key),
    keyCheck: toHex(body.keyCheck),
    passphrase: passphrase ?? null,
    master: master ? toHex(master) : null,
    content: toHex(content),
    plaintext: toHex(plaintext),
    kitId: toHex(decodeRecoveryPart(parts[0]!).kitId),
    parts: parts.map(toHex),
  }
}

type Fields = CborValue[]

function badParts(kit: Good): Bad[] {
  const part = fromHex(kit.parts[0]!)
  const fields = () => [...(decodeCbor(part, "part") as Fields)]
  const body = () => [...(decodeCbor(fields()[1] as Uint8Array, "body") as Fields)]
  const withField = (at: number, value: CborValue) => encodeCbor(fields().with(at, value))
  const withBody = (at: number, value: CborValue) => withField(1, encodeCbor(body().with(at, value)))
  const bad = (name: string, bytes: Uint8Array, error: Bad["error"]): Bad => ({ name, bytes: toHex(bytes), error })
  return [
    bad("no bytes", new Uint8Array(), "ERR_BAD_FORMAT"),
    bad("version 3", withField(0, 3), "ERR_UNSUPPORTED_VERSION"),
    bad("version 0", withField(0, 0), "ERR_UNSUPPORTED_VERSION"),
    bad("the body of version 2 in a part of version 1", withField(0, 1), "ERR_BAD_FORMAT"),
    bad("cut short", part.subarray(0, -1), "ERR_BAD_FORMAT"),
    bad("a byte too many", concat(part, new Uint8Array(1)), "ERR_BAD_FORMAT"),
    bad("a field too many", encodeCbor([...fields(), 0]), "ERR_BAD_FORMAT"),
    bad("an index that is not below n", withField(2, 3), "ERR_BAD_FORMAT"),
    bad("the share of another index", withField(2, 1), "ERR_CORRUPT"),
    bad("a share that is not of this kit", withField(3, new Uint8Array(33)), "ERR_CORRUPT"),
    bad("a share of 32 bytes", withField(3, new Uint8Array(32)), "ERR_BAD_FORMAT"),
    bad("a threshold of 1", withBody(0, 1), "ERR_BAD_FORMAT"),
    bad("a threshold over n", withBody(0, 4), "ERR_BAD_FORMAT"),
    bad("a hash of 31 bytes", withBody(1, [new Uint8Array(31), new Uint8Array(32)]), "ERR_BAD_FORMAT"),
    bad("256 hashes", withBody(1, Array(256).fill(new Uint8Array(32))), "ERR_BAD_FORMAT"),
    bad("a key check of 16 bytes", withBody(2, new Uint8Array(16)), "ERR_BAD_FORMAT"),
    bad("parameters of argon2id, as in version 1", withBody(3, [65_536, 3, 1, new Uint8Array(16)]), "ERR_BAD_FORMAT"),
    bad("a protection of 2", withBody(3, 2), "ERR_BAD_FORMAT"),
    bad("a body with a field too many", withField(1, encodeCbor([...body(), 0])), "ERR_BAD_FORMAT"),
  ]
}

function badContents(content: Uint8Array): Bad[] {
  const fields = decodeCbor(content, "content") as Fields
  const bad = (name: string, at: number, value: CborValue, error: Bad["error"] = "ERR_BAD_FORMAT"): Bad => ({
    name,
    bytes: toHex(encodeCbor(fields.with(at, value))),
    error,
  })
  return [
    bad("version 3", 0, 3, "ERR_UNSUPPORTED_VERSION"),
    bad("version 1 with the fields of version 2", 0, 1),
    bad("a place that is no text", 3, [1]),
    bad("a secret of 31 bytes", 4, new Uint8Array(31)),
    bad("aliases as a list", 5, []),
    bad("an alias with a slash", 5, { "a/b": "hf:lit:" }),
    bad("an alias of what is no capability", 5, { home: "hf:dw:AAAA" }, "ERR_BAD_CAPABILITY"),
    bad("a volume of version 4", 7, [{ version: 4 }], "ERR_UNSUPPORTED_VERSION"),
    bad("a volume of version 2 without its epoch", 7, [{ version: 2 }]),
    bad("a volume without places", 7, [{ version: 1 }]),
    bad("what was seen as bytes", 8, new Uint8Array(2)),
    bad("a fingerprint of 31 bytes", 9, ["coord.example.org:7443", new Uint8Array(31)]),
    bad("a coordinator with a line end", 9, ["coord\n.example.org:7443", new Uint8Array(32)]),
    bad("a bucket's key with a line end", 10, { "s3://a": ["AKEXAMPLE", "a\nb"] }),
    bad("a kit without a volume", 11, { main: new Uint8Array(32) }),
    bad("a master key of 16 bytes", 11, { "disks/main": new Uint8Array(16) }),
    bad("an account seed of 31 bytes", 12, { accountSeed: new Uint8Array(31) }),
    bad("a secret by the name of a field of the profile", 12, { aliases: new Uint8Array(32) }),
    bad("a secret that is text", 12, { laterSecret: "text" }),
    bad("a secret of 4097 bytes", 12, { laterSecret: new Uint8Array(4097) }),
  ]
}
