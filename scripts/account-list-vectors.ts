/** Makes the frozen vectors of account lists (versions 1 and 3) and account keys, once: it does not overwrite what there is. */
import { existsSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { type CborValue, compare, encodeCbor, hashSmall, toHex, utf8 } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  type AccountList,
  accountKeysOf,
  deviceListSecret,
  emptyAccountList,
  encodeAccountList,
  encodeCap,
  listSeedOn,
  registerIdOf,
  removedKeyOf,
  type StorageId,
} from "@holdfast/protocol"

const folder = join(dirname(import.meta.dirname), "interop", "vectors")
const bytes = (name: string) => hashSmall("vectors", utf8(name))
const cap = (name: string) => encodeCap({ kind: "dw", seed: bytes(name) })

const lists: readonly AccountList[] = [
  emptyAccountList,
  { ...emptyAccountList, roots: new Map([["home", { cap: cap("home") }]]) },
  {
    ...emptyAccountList,
    roots: new Map([
      ["home", { cap: cap("home"), keepMs: 0 }],
      ["photos", { cap: cap("photos"), keepMs: 2_592_000_000 }],
    ]),
    linked: [cap("linked")],
    kits: [{ name: "main", register: bytes("kit") }],
    epoch: 2,
    grants: [bytes("a grant")],
    keepMs: 1_209_600_000,
  },
]
const one = (value: CborValue, error = "ERR_BAD_FORMAT") => ({ encoded: toHex(encodeCbor(value)), error })
const bad = [
  one([2, [], [], [], 0, [], null], "ERR_UNSUPPORTED_VERSION"),
  one([1, [], [], [], 0, []]),
  one([
    1,
    [
      ["b", cap("b"), null],
      ["a", cap("a"), null],
    ],
    [],
    [],
    0,
    [],
    null,
  ]),
  one([1, [["../x", cap("a"), null]], [], [], 0, [], null]),
  one([1, [["a", "hf:dw:mistyped", null]], [], [], 0, [], null], "ERR_BAD_CAPABILITY"),
  one([1, [], [], [["main", bytes("kit").subarray(1)]], 0, [], null]),
  one([1, [], [], [], 0, [], -1]),
]
const storages: readonly StorageId[] = ["volume/00112233445566778899aabbccddeeff", "grid/abcdefghijklmnopqrstuvwx"]
const listsOf = (listSecret: Uint8Array) =>
  Promise.all(
    storages.map(async (storage) => {
      const seed = listSeedOn({ listSecret }, storage)
      return { storage, seed: toHex(seed), register: toHex(registerIdOf(await crypto.publicKeyOf(seed))) }
    }),
  )
const keys = await Promise.all(
  ["one", "two", "three"].map(async (name) => {
    const account = await accountKeysOf(crypto, bytes(name))
    const deviceKey = bytes(`device ${name}`)
    const deviceSecret = deviceListSecret(account, deviceKey)
    return {
      ...{ accountSeed: toHex(bytes(name)), id: toHex(account.id), publicKey: toHex(account.publicKey) },
      ...{ collectSeed: toHex(account.collectSeed), listSecret: toHex(account.listSecret) },
      ...{ lists: await listsOf(account.listSecret), deviceKey: toHex(deviceKey) },
      ...{ deviceListSecret: toHex(deviceSecret), deviceLists: await listsOf(deviceSecret) },
    }
  }),
)
const third: readonly AccountList[] = [
  { ...lists[2]!, removed: [bytes("b"), bytes("a")] },
  {
    ...{ ...emptyAccountList, epoch: 3, removed: [await removedKeyOf(crypto, cap("home"))] },
    revoked: [
      { deviceKey: bytes("camera"), epoch: 3, name: "camera" },
      { deviceKey: bytes("phone"), epoch: 2, name: "phone" },
    ],
  },
]
const sorted = (...names: string[]) => names.map(bytes).sort(compare)
const badThird = [
  one([3, [], [], [], 0, [], null]),
  one([3, [], [], [], 0, [], null, [], []]),
  one([3, [], [], [], 0, [], null, sorted("a", "b").reverse(), []]),
  one([3, [], [], [], 0, [], null, [bytes("a"), bytes("a")], []]),
  one([3, [], [], [], 0, [], null, [bytes("a").subarray(1)], []]),
  one([3, [], [], [], 1, [], null, [], [[bytes("a"), 0, "camera"]]]),
  one([
    3,
    [],
    [],
    [],
    1,
    [],
    null,
    [],
    sorted("a", "b")
      .reverse()
      .map((key) => [key, 1, "camera"]),
  ]),
  one([4, [], [], [], 0, [], null, [bytes("a")], []], "ERR_UNSUPPORTED_VERSION"),
]
const goodOf = (some: readonly AccountList[]) =>
  some.map((list) => ({
    roots: [...list.roots].map(([name, root]) => [name, root.cap, root.keepMs ?? null]),
    ...{ linked: list.linked, kits: list.kits.map(({ name, register }) => [name, toHex(register)]), epoch: list.epoch },
    ...{ grants: list.grants.map(toHex), keepMs: list.keepMs ?? null, encoded: toHex(encodeAccountList(list)) },
  }))
const goodThird = goodOf(third).map((vector, i) => ({
  ...vector,
  removed: third[i]!.removed.toSorted(compare).map(toHex),
  revoked: third[i]!.revoked.toSorted((a, b) => compare(a.deviceKey, b.deviceKey)).map(({ deviceKey, epoch, name }) => [
    toHex(deviceKey),
    epoch,
    name,
  ]),
}))
const removedKeys = await Promise.all(
  [cap("home"), encodeCap({ kind: "dw", seed: bytes("photos") })].map(async (text) => ({
    cap: text,
    key: toHex(await removedKeyOf(crypto, text)),
  })),
)
const files = {
  "account-list.json": { good: goodOf(lists), bad, keys },
  "account-list-3.json": { good: goodThird, bad: badThird, removedKeys },
}
for (const [name, vectors] of Object.entries(files)) {
  const path = join(folder, name)
  if (existsSync(path)) process.stdout.write(`${path} is frozen\n`)
  else writeFileSync(path, `${JSON.stringify(vectors, null, 1)}\n`)
}
