/** What is fuzzed: every decoder of what comes from outside, with the frozen vectors as first inputs. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { decodeCbor, encodeCbor, equal, fromUtf8, isHoldfastError } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import {
  decodeAccountList,
  decodeBatchState,
  decodeBlockQueries,
  decodeCap,
  decodeDescriptor,
  decodeEpochStatement,
  decodeFailure,
  decodeFrames,
  decodeGrant,
  decodeHashes,
  decodeHeld,
  decodeIds,
  decodeInvite,
  decodeKept,
  decodeListRequest,
  decodeMarked,
  decodeMarkInfos,
  decodeMarkOutcomes,
  decodeMarkRequest,
  decodeProposeOutcomes,
  decodePutOutcomes,
  decodeQueries,
  decodeRecoveryPart,
  decodeRecoverySecrets,
  decodeRegisterValue,
  decodeShare,
  decodeShareHead,
  decodeStatement,
  decodeUnmark,
  decodeUsage,
  decodeWaitRequest,
  encodeDescriptor,
  TransportReader,
  verifyShare,
} from "@holdfast/protocol"
import { decodeCare, decodeDirectoryNode, decodeManifestNode, decodeRoot } from "@holdfast/tree"
import { hostileGridTarget } from "./hostile-grid.ts"
import { hostileTreeTarget } from "./hostile-tree.ts"

/** Something that takes any bytes. */
export interface Target {
  readonly name: string
  /** Good inputs to begin with. */
  readonly seeds: readonly Uint8Array[]
  readonly maxBytes: number
  /** Only errors of ours may be thrown inside; anything that comes out is a finding. */
  run(input: Uint8Array): unknown
}

const vectors = join(import.meta.dirname, "../../interop/vectors")
const few = { maxItems: 4096, maxItemBytes: 4096 }
const holder = { chunk: { id: new Uint8Array(32), key: new Uint8Array(32) }, offset: 0, length: 4096 }

const decoders: Readonly<Record<string, { from: readonly string[]; decode: (bytes: Uint8Array) => unknown }>> = {
  cbor: { from: ["cbor-text.json", "tree.json"], decode: canonicalCbor },
  "chunk descriptor": { from: ["chunk.json", "chunk-2.json"], decode: canonicalDescriptor },
  share: {
    from: ["chunk.json", "chunk-2.json"],
    decode: (bytes) => [decodeShareHead, decodeShare].map((decode) => decode(bytes)),
  },
  "verified share": { from: ["chunk.json", "chunk-2.json"], decode: (bytes) => verifyShare(crypto, bytes) },
  "register value": {
    from: ["register.json", "register-lineage.json", "register-4.json"],
    decode: (bytes) => decodeRegisterValue(crypto, bytes),
  },
  "epoch statement": { from: ["register-4.json"], decode: decodeEpochStatement },
  "account list": { from: ["account-list.json", "account-list-3.json"], decode: decodeAccountList },
  grant: { from: ["account.json"], decode: (bytes) => decodeGrant(crypto, bytes) },
  "order to unmark": { from: ["account.json"], decode: decodeUnmark },
  "administrator's statement": { from: ["account.json"], decode: (bytes) => decodeStatement(crypto, bytes) },
  "recovery part": { from: ["recovery-kit.json", "recovery-kit-2.json"], decode: decodeRecoveryPart },
  "recovery secrets": { from: ["recovery-kit.json", "recovery-kit-2.json"], decode: decodeRecoverySecrets },
  "directory node": { from: ["tree.json"], decode: (bytes) => decodeDirectoryNode(bytes, holder) },
  "manifest node": { from: ["tree.json"], decode: (bytes) => decodeManifestNode(bytes, holder) },
  "tree root": { from: ["tree.json"], decode: decodeRoot },
  "care list": { from: ["tree.json"], decode: decodeCare },
  capability: { from: ["capability.json"], decode: (bytes) => text(bytes, decodeCap) },
  invitation: { from: ["invite.json", "invite-2.json"], decode: (bytes) => text(bytes, decodeInvite) },
  "transport of a client": { from: ["transport.json"], decode: (bytes) => transport("client", bytes) },
  "transport of a node": { from: ["transport.json"], decode: (bytes) => transport("node", bytes) },
  frames: { from: [], decode: (bytes) => [decodeFrames(bytes, few), decodeMarked(bytes, few)] },
  ...answers({
    put: (bytes) => decodePutOutcomes(bytes, 3),
    mark: (bytes) => decodeMarkOutcomes(bytes, 3),
    held: (bytes) => decodeHeld(bytes, 3),
    marks: (bytes) => decodeMarkInfos(bytes, 4096),
    propose: (bytes) => decodeProposeOutcomes(bytes, 3),
    batch: decodeBatchState,
    kept: decodeKept,
    usage: decodeUsage,
    failure: decodeFailure,
    "shares asked for": decodeQueries,
    "blocks asked for": decodeBlockQueries,
    "ids asked for": (bytes) => decodeIds(bytes, 4096),
    "marks asked for": decodeMarkRequest,
    "listing asked for": decodeListRequest,
    "wait asked for": decodeWaitRequest,
    hashes: (bytes) => decodeHashes(bytes, 3),
  }),
}

/** All targets. */
export async function allTargets(): Promise<Target[]> {
  return [
    ...Object.entries(decoders).map(([name, { from, decode }]): Target => {
      const found = from.flatMap((file) => inputsOf(file))
      const seeds = found.length > 0 ? found : [encodeCbor([new Uint8Array(32), [1, null, true]]), new Uint8Array(8)]
      return { name, seeds, maxBytes: 8192, run: (input) => onlyOurErrors(() => decode(input)) }
    }),
    hostileGridTarget(),
    await hostileTreeTarget(),
  ]
}

function answers(kinds: Readonly<Record<string, (bytes: Uint8Array) => unknown>>) {
  return Object.fromEntries(Object.entries(kinds).map(([name, decode]) => [`wire: ${name}`, { from: [], decode }]))
}

async function onlyOurErrors(decode: () => unknown): Promise<void> {
  try {
    await decode()
  } catch (error) {
    if (!isHoldfastError(error)) throw error
  }
}

/** However the bytes come, a reader finds the same in them, or fails; of a body it gives no byte twice and none that did not come. */
function transport(from: "client" | "node", bytes: Uint8Array): void {
  const found = [bytes.length, 1, 13].map((atOnce) => {
    const reader = new TransportReader(from)
    let said = ""
    let dataBytes = 0
    try {
      for (let at = 0; at < bytes.length; at += atOnce)
        for (const event of reader.read(bytes.subarray(at, at + atOnce)))
          if (event.type === "data") dataBytes += event.bytes.length
          else said += JSON.stringify(event)
    } catch (error) {
      if (!isHoldfastError(error)) throw error
      said += error.code
    }
    if (dataBytes > bytes.length) throw new Error("a reader made up bytes")
    return said
  })
  if (new Set(found).size !== 1) throw new Error("a reader finds other frames when bytes come in other pieces")
}

/** There is one encoding of each value. */
function canonicalCbor(bytes: Uint8Array): void {
  const value = decodeCbor(bytes, "input")
  if (!equal(encodeCbor(value), bytes)) throw new Error("two encodings of one value were taken")
}

function canonicalDescriptor(bytes: Uint8Array): void {
  if (!equal(encodeDescriptor(decodeDescriptor(bytes)), bytes))
    throw new Error("two encodings of one descriptor were taken")
}

function text(bytes: Uint8Array, decode: (text: string) => unknown): unknown {
  return decode(Buffer.from(bytes).toString("utf8"))
}

/** Every byte string of a file of vectors that is not too long, and every text that is none. */
function inputsOf(file: string): Uint8Array[] {
  const found: Uint8Array[] = []
  const visit = (value: unknown): void => {
    if (typeof value === "string") {
      const isHex = /^([0-9a-f]{2})+$/.test(value)
      const bytes = isHex ? Buffer.from(value, "hex") : Buffer.from(value, "utf8")
      if (bytes.length > 1 && bytes.length <= 8192) found.push(new Uint8Array(bytes))
    } else if (value && typeof value === "object") for (const item of Object.values(value)) visit(item)
  }
  visit(JSON.parse(fromUtf8(readFileSync(join(vectors, file)))))
  return found
}
