/** Makes the frozen vectors of account lists and account keys, once: it refuses to overwrite them. */
import { existsSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { type CborValue, encodeCbor, hashSmall, toHex, utf8 } from "@holdfast/core"
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
  type StorageId,
} from "@holdfast/protocol"

const path = join(dirname(import.meta.dirname), "interop", "vectors", "account-list.json")
const bytes = (name: string) => hashSmall("vectors", utf8(name))
const cap = (name: string) => encodeCap({ kind: "dw", seed: bytes(name) })

const lists: readonly AccountList[] = [
  emptyAccountList,
  { ...emptyAccountList, roots: new Map([["home", { cap: cap("home") }]]) },
  {
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
const good = lists.map((list) => ({
  roots: [...list.roots].map(([name, root]) => [name, root.cap, root.keepMs ?? null]),
  ...{ linked: list.linked, kits: list.kits.map(({ name, register }) => [name, toHex(register)]), epoch: list.epoch },
  ...{ grants: list.grants.map(toHex), keepMs: list.keepMs ?? null, encoded: toHex(encodeAccountList(list)) },
}))
if (existsSync(path)) throw new Error(`${path} is frozen`)
writeFileSync(path, `${JSON.stringify({ good, bad, keys }, null, 1)}\n`)
