/** Vectors of grid descriptions of versions 3 and 4 and of root statements: what opens, and what must be refused. */
import { createPrivateKey, type KeyObject, sign } from "node:crypto"
import { concat, domainPrefix, hashSmall, utf8 } from "@holdfast/core"
import { digestOf, publicKeyText, signGrid, signRoot } from "@holdfast/network"
import type { GridDescription, GridServer, RootStatement, SignedText } from "@holdfast/protocol"

/** The PKCS #8 frame of an Ed25519 seed. */
const frame = Uint8Array.from([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20])

/** The Ed25519 key of vectors that has this name. */
export const keyOf = (name: string): KeyObject =>
  createPrivateKey({ key: Buffer.from(concat(frame, hashSmall("vectors", utf8(name)))), format: "der", type: "pkcs8" })
const keyId = (name: string) => Buffer.from(hashSmall("vectors", utf8(name))).toString("base64url")
const [gridKey, secondKey, rootKey] = [keyOf("grid key"), keyOf("second grid key"), keyOf("root key")]

const statement: RootStatement = {
  version: 1,
  gridId: "g1",
  epoch: 2,
  gridPublicKey: publicKeyText(secondKey),
  caFingerprints: ["00".repeat(32)],
  revoked: [keyId("thief")],
}

const first: GridDescription = {
  version: 3,
  gridId: "g1",
  epoch: 1,
  gridPublicKey: publicKeyText(gridKey),
  name: "example",
  serial: 8,
  previous: keyId("the one before"),
  issuedMs: 1_800_000_000_000,
  coordinator: "coord.example.org:7443",
  caPem: "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
  coding: { k: 3, happy: 4, n: 5 },
  registerMode: "crash",
  voters: ["n1", "gone"],
  servers: [
    { id: "n1", name: "n1", address: "127.0.0.1:7444", capacityBytes: 1000, key: keyId("n1") },
    { id: "n2", name: "n2", address: "127.0.0.1:7445", capacityBytes: 1000, key: null },
  ],
  revoked: [keyId("thief")],
  root: null,
}

const root = { publicKey: publicKeyText(rootKey), statement: signRoot(statement, rootKey) }
const second: GridDescription = {
  ...first,
  epoch: 2,
  serial: 1,
  previous: null,
  gridPublicKey: publicKeyText(secondKey),
  root,
}

/** Signs any payload in any domain. */
function signed(payload: unknown, domain: string, key: KeyObject): SignedText {
  const text = JSON.stringify(payload)
  return { payload: text, signature: sign(null, concat(domainPrefix(domain), utf8(text)), key).toString("base64") }
}

/** Descriptions and statements, good and bad. */
export async function gridVectors(): Promise<object> {
  const third = "holdfast/grid-description/3"
  const bad = (why: string, payload: unknown, code: string, domain = third) => ({
    why,
    signed: signed(payload, domain, gridKey),
    code,
  })
  const without = (field: keyof GridDescription) =>
    Object.fromEntries(Object.entries(first).filter(([name]) => name !== field))
  const fine = signGrid(first, gridKey)
  const fineRoot = signRoot(statement, rootKey)
  return {
    gridPublicKey: first.gridPublicKey,
    good: [{ signed: fine, grid: first, digest: digestOf(fine) }],
    bad: [
      {
        why: "a voter removed after signing",
        signed: { ...fine, payload: fine.payload.replace(',"gone"', "") },
        code: "ERR_CORRUPT",
      },
      { why: "signed by another key", signed: signGrid(first, secondKey), code: "ERR_CORRUPT" },
      bad("signed in the domain of version 1", first, "ERR_BAD_FORMAT", "holdfast/grid-description/1"),
      bad("version 2 in the domain of version 3", { ...first, version: 2 }, "ERR_BAD_FORMAT"),
      bad("a version that is not known", { ...first, version: 4 }, "ERR_BAD_FORMAT"),
      bad(
        "another grid key than the one that signs",
        { ...first, gridPublicKey: second.gridPublicKey },
        "ERR_BAD_FORMAT",
      ),
      bad("epoch 0", { ...first, epoch: 0 }, "ERR_BAD_FORMAT"),
      ...(["epoch", "gridPublicKey", "previous", "voters", "revoked", "root"] as const).map((field) =>
        bad(`no ${field}`, without(field), "ERR_BAD_FORMAT"),
      ),
      bad(
        "a server without a key",
        { ...first, servers: first.servers.map(({ key: _, ...server }) => server) },
        "ERR_BAD_FORMAT",
      ),
      bad("a previous that is no SHA-256", { ...first, previous: "abc" }, "ERR_BAD_FORMAT"),
    ],
    epoch2: { gridPublicKey: second.gridPublicKey, signed: signGrid(second, secondKey), grid: second },
    root: {
      publicKey: root.publicKey,
      good: [{ signed: fineRoot, statement }],
      bad: [
        {
          why: "an epoch altered after signing",
          signed: { ...fineRoot, payload: fineRoot.payload.replace('"epoch":2', '"epoch":3') },
          code: "ERR_CORRUPT",
        },
        { why: "signed by a grid key", signed: signRoot(statement, gridKey), code: "ERR_CORRUPT" },
        { why: "a description's domain", signed: signed(statement, third, rootKey), code: "ERR_CORRUPT" },
        {
          why: "no authority",
          signed: signRoot({ ...statement, caFingerprints: [] }, rootKey),
          code: "ERR_BAD_FORMAT",
        },
        {
          why: "version 2",
          signed: signed({ ...statement, version: 2 }, "holdfast/grid-root/1", rootKey),
          code: "ERR_BAD_FORMAT",
        },
      ],
    },
  }
}

/** Descriptions with labels and a witness, good and bad. */
export async function labelledGridVectors(): Promise<object> {
  const domain = "holdfast/grid-description/4"
  const [one, two] = first.servers as [GridServer, GridServer]
  const labelled: GridDescription = {
    ...first,
    version: 4,
    voters: ["n1", "n2", "w1"],
    servers: [
      { ...one, labels: { provider: "p", site: "home", rack: "1" } },
      { ...two, labels: { site: "work" } },
      { id: "w1", name: "w1", address: "127.0.0.1:7446", capacityBytes: 10, key: keyId("w1"), witness: true },
    ],
  }
  const plain: GridDescription = { ...labelled, serial: 9, servers: [one, two] } // it had labels once
  const bad = (why: string, payload: unknown, code: string, inDomain = domain) => ({
    why,
    signed: signed(payload, inDomain, gridKey),
    code,
  })
  const withServer = (more: object) => ({ ...labelled, servers: [{ ...one, ...more }] })
  return {
    gridPublicKey: first.gridPublicKey,
    good: [labelled, plain].map((grid) => {
      const text = signGrid(grid, gridKey)
      return { signed: text, grid, digest: digestOf(text) }
    }),
    bad: [
      bad("signed in the domain of version 3", labelled, "ERR_BAD_FORMAT", "holdfast/grid-description/3"),
      bad("version 3 in the domain of version 4", { ...labelled, version: 3 }, "ERR_BAD_FORMAT"),
      bad("labels in version 3", { ...labelled, version: 3 }, "ERR_BAD_FORMAT", "holdfast/grid-description/3"),
      bad(
        "a witness in version 3",
        { ...withServer({ witness: true }), version: 3 },
        "ERR_BAD_FORMAT",
        "holdfast/grid-description/3",
      ),
      bad("a version that is not known", { ...labelled, version: 5 }, "ERR_UNSUPPORTED_VERSION"),
      bad(
        "a later version in a domain that is not known",
        { ...labelled, version: 5 },
        "ERR_UNSUPPORTED_VERSION",
        "holdfast/grid-description/5",
      ),
      bad("labels that name nothing", withServer({ labels: {} }), "ERR_BAD_FORMAT"),
      bad("a kind of label that is none", withServer({ labels: { floor: "1" } }), "ERR_BAD_FORMAT"),
      bad("a label with a space", withServer({ labels: { site: "a b" } }), "ERR_BAD_FORMAT"),
      bad("a label with a slash", withServer({ labels: { site: "a/b" } }), "ERR_BAD_FORMAT"),
      bad("an empty label", withServer({ labels: { site: "" } }), "ERR_BAD_FORMAT"),
      bad("a label of 65 letters", withServer({ labels: { site: "a".repeat(65) } }), "ERR_BAD_FORMAT"),
      bad("labels that are no object", withServer({ labels: "site=a" }), "ERR_BAD_FORMAT"),
      bad("a witness that is none", withServer({ witness: false }), "ERR_BAD_FORMAT"),
      bad("no voters", { ...labelled, voters: undefined }, "ERR_BAD_FORMAT"),
      bad("a server without a key", { ...labelled, servers: [{ ...one, key: undefined }] }, "ERR_BAD_FORMAT"),
      {
        why: "a label changed after signing",
        signed: ((text) => ({ ...text, payload: text.payload.replace('"work"', '"home"') }))(
          signGrid(labelled, gridKey),
        ),
        code: "ERR_CORRUPT",
      },
    ],
  }
}
