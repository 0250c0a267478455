/**
 * Vectors of Ed25519 signatures at the edges: which are accepted and which refused. Some are the cases of "Taming the many EdDSAs"
 * (Chalkias, Garillot, Nikolaenko, 2020); the others are made here, with points of small and mixed order.
 */
import { createHash } from "node:crypto"
import { concat, fromHex, toHex, utf8 } from "@holdfast/core"
import type { SignatureVector } from "@holdfast/core/vectors"
import { ED25519_TORSION_SUBGROUP, ed25519 } from "@noble/curves/ed25519.js"

const { Point } = ed25519
const order = Point.Fn.ORDER
type Pair = readonly [name: string, message: string, publicKey: string, signature: string]

const smallA = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"
const mixedA = "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43"
const otherMixedA = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d"
const largeA = "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623"
const notCanonicalA = "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
const [m1, m2, m3, m4] = [
  "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
  "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
  "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
  "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
]
const published: readonly Pair[] = [
  [
    "case 0: A and R of small order, S is 0",
    "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
    smallA,
    `c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a${"00".repeat(32)}`,
  ],
  [
    "case 1: A of small order, R of mixed order",
    m1,
    smallA,
    `${mixedA}a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04`,
  ],
  [
    "case 2: R of small order, A of mixed order",
    "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
    mixedA,
    `${smallA}8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e`,
  ],
  [
    "case 3: A and R of mixed order, and the equation holds without the cofactor",
    m1,
    otherMixedA,
    "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
  ],
  [
    "case 4: A and R of mixed order, and the equation holds with the cofactor only",
    m2,
    otherMixedA,
    "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
  ],
  [
    "case 5: A of mixed order, R of large order, and the equation holds with the cofactor only",
    m2,
    otherMixedA,
    "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
  ],
  [
    "case 6: S is above the order",
    m3,
    largeA,
    "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
  ],
  [
    "case 7: S is far above the order",
    m3,
    largeA,
    "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
  ],
  [
    "case 8: R of small order and not canonical, hashed as it is",
    m4,
    mixedA,
    `${notCanonicalA}03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f`,
  ],
  [
    "case 9: R of small order and not canonical, hashed as its canonical form",
    m4,
    mixedA,
    `${notCanonicalA}ca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908`,
  ],
  [
    "case 10: A of small order and not canonical, hashed as it is",
    "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
    notCanonicalA,
    "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
  ],
  [
    "case 11: A of small order and not canonical, hashed as its canonical form",
    "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
    notCanonicalA,
    "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
  ],
]

/** All vectors. */
export async function signatureVectors(): Promise<{ readonly signatures: readonly SignatureVector[] }> {
  const taken = published.map(([name, message, publicKey, signature], i): SignatureVector => {
    return { name, message, publicKey, signature, accepted: i === 3 }
  })
  return { signatures: [...taken, ...edges()] }
}

/** What a vector is made of: scalars, and the number of a point of small order that is added to A or R. */
export interface Plan {
  readonly a: bigint
  readonly r: bigint
  readonly message: string
  readonly torsionA?: number
  readonly torsionR?: number
  /** Added to S. */
  readonly extra?: bigint
}

/** A signature with the secret scalars known, and points that no honest signer has. */
export function planned({ a, r, message, torsionA = 0, torsionR = 0, extra = 0n }: Plan) {
  const at = (scalar: bigint, torsion: number) =>
    Point.BASE.multiply(scalar).add(Point.fromHex(ED25519_TORSION_SUBGROUP[torsion]!))
  const [publicKey, first] = [at(a, torsionA).toBytes(), at(r, torsionR).toBytes()]
  const text = utf8(message)
  const k = numberOf(sha512(concat(first, publicKey, text))) % order
  const s = ((r + k * a) % order) + extra
  return { k, message: toHex(text), publicKey: toHex(publicKey), signature: toHex(concat(first, bytesOf(s))) }
}

function edges(): SignatureVector[] {
  const [a, r] = [1234567890123456789n, 987654321987654321n]
  const made = (name: string, accepted: boolean, plan: Plan): SignatureVector => {
    const { k: _, ...vector } = planned(plan)
    return { name, ...vector, accepted }
  }
  const honest = made("an honest signature", true, { a, r, message: "honest" })
  const changed = (name: string, change: Partial<SignatureVector>): SignatureVector => ({
    ...{ ...honest, name, accepted: false },
    ...change,
  })
  const [first, second] = [honest.signature.slice(0, 64), honest.signature.slice(64)]
  /** A message for which k is, or is not, a multiple of 8. */
  const messageWhere = (isMultiple: boolean, plan: Omit<Plan, "message">) => {
    for (let i = 0; ; i++)
      if ((planned({ ...plan, message: `${i}` }).k % 8n === 0n) === isMultiple) return { ...plan, message: `${i}` }
  }
  const small = [...ED25519_TORSION_SUBGROUP, ...notCanonicalSmall].map((point) => point as string)
  return [
    honest,
    made("S with the order added", false, { a, r, message: "honest", extra: order }),
    changed("S is the order", { signature: `${first}${toHex(bytesOf(order))}` }),
    changed("S with its highest bit set", { signature: `${first}${second.slice(0, 62)}${"80"}` }),
    changed("R with its sign turned", { signature: `${first.slice(0, 62)}${turned(first)}${second}` }),
    changed("A with its sign turned", { publicKey: `${honest.publicKey.slice(0, 62)}${turned(honest.publicKey)}` }),
    changed("another message", { message: toHex(utf8("other")) }),
    changed("A is no point", { publicKey: `02${"00".repeat(31)}` }),
    changed("A is above the prime", { publicKey: `f0${"ff".repeat(30)}7f` }),
    changed("R is above the prime", { signature: `f0${"ff".repeat(30)}7f${second}` }),
    changed("no signature", { signature: "" }),
    changed("a signature cut off", { signature: honest.signature.slice(0, 126) }),
    changed("a key cut off", { publicKey: honest.publicKey.slice(0, 62) }),
    made("A of mixed order, k a multiple of 8", true, messageWhere(true, { a, r, torsionA: 1 })),
    made("A of mixed order, k no multiple of 8", false, messageWhere(false, { a, r, torsionA: 1 })),
    made("R of mixed order", false, { a, r, message: "mixed", torsionR: 3 }),
    ...identities.map((point) => {
      const first = Point.BASE.multiply(r).toBytes()
      const signature = toHex(concat(first, bytesOf(r)))
      return changed(`A is nothing, as ${point}, which would accept this for every message`, {
        publicKey: point,
        signature,
      })
    }),
    ...small.map((point) => changed(`A is the point of small order ${point}`, { publicKey: point })),
    ...small.map((point) => changed(`R is the point of small order ${point}`, { signature: `${point}${second}` })),
    ...small.map((point) =>
      changed(`A and R are the point of small order ${point}, S is 0`, {
        ...{ publicKey: point, signature: `${point}${"00".repeat(32)}` },
      }),
    ),
  ]
}

/** Other encodings of points of small order: y above the prime, or a sign where x is 0. */
const notCanonicalSmall = [
  `edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f`,
  `edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff`,
  `eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f`,
  `eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff`,
  `0100000000000000000000000000000000000000000000000000000000000080`,
  notCanonicalA,
]

/** The neutral element, as it should be and otherwise. */
const identities = [
  `01${"00".repeat(31)}`,
  `01${"00".repeat(30)}80`,
  `ee${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}ff`,
]

const turned = (point: string) => toHex(new Uint8Array([fromHex(point.slice(62, 64))[0]! ^ 0x80]))
const sha512 = (bytes: Uint8Array) => new Uint8Array(createHash("sha512").update(bytes).digest())

function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes.slice().reverse())}`)
}

function bytesOf(number: bigint): Uint8Array {
  return fromHex(number.toString(16).padStart(64, "0")).reverse()
}
