/** The published kinds of attack on encrypted storage, as a malicious service can try them. See docs/threat-model.md. */
import { concat, limits } from "@holdfast/core"
import { type Descriptor, decodeShare, encodeDescriptor, encodeShareHeader } from "@holdfast/protocol"
import { type Attack, type Recorded, sharesInstead, together, valuesInstead } from "./malicious.ts"

const manyIndices = Array.from({ length: 100_000 }, (_, i) => i)

/** Attacks by name, each in every variant that what was recorded allows. */
export const attacks: Readonly<Record<string, (record: Recorded) => Attack[]>> = {
  "swaps chunks": (record) =>
    pairsOf([...record.chunks.keys()]).map(([victim, other]) =>
      sharesInstead((id, index, honest) => (id === victim ? record.chunks.get(other)?.get(index) : honest)),
    ),
  "puts a chunk's bytes under another's descriptor": (record) =>
    pairsOf([...record.chunks.keys()], [2]).map(([victim, other]) =>
      sharesInstead((id, index, honest) => {
        const foreign = record.chunks.get(other)?.get(index)
        if (id !== victim || !honest || !foreign) return honest
        const { descriptor } = decodeShare(honest)
        return share(index, descriptor, resized(decodeShare(foreign).payload, decodeShare(honest).payload.length))
      }),
    ),
  "alters descriptors": () =>
    alterations.map((alter) =>
      sharesInstead((_id, index, honest) => {
        if (!honest) return honest
        const { descriptor, payload } = decodeShare(honest)
        const altered = alter(descriptor)
        return share(index, altered, resized(payload, Math.ceil(altered.ciphertextBytes / altered.k)))
      }),
    ),
  "strips descriptors": () => [
    changed((bytes) => decodeShare(bytes).payload),
    changed((bytes) => bytes.subarray(0, 7)),
  ],
  truncates: () => [
    changed((bytes) => bytes.subarray(0, bytes.length - 1)),
    changed((bytes) => bytes.subarray(0, bytes.length >> 1)),
    changed(() => new Uint8Array()),
  ],
  extends: () => [
    changed((bytes) => concat(bytes, new Uint8Array(1))),
    changed((bytes) => concat(bytes, bytes)),
    changed((bytes) => resized(bytes, limits.shareBytes)),
    changed((bytes) => resized(bytes, 4 * limits.shareBytes)),
  ],
  "reorders shares": (record) => [
    sharesInstead((id, index) => {
      const shares = record.chunks.get(id)
      const other = shares?.get((index + 1) % shares.size)
      return other && renumbered(other, index)
    }),
    sharesInstead((id, index) => {
      const shares = record.chunks.get(id)
      return shares?.get((index + 1) % shares.size)
    }),
    sharesInstead((id) => record.chunks.get(id)?.get(0)),
  ],
  "flips bits": () =>
    [4, 6, 9, 20, -1, -100].map((at) =>
      changed((bytes) => {
        const position = at < 0 ? bytes.length + at : at
        bytes[position]! ^= 0x10
        return bytes
      }),
    ),
  "keeps chunks back": (record) => [
    sharesInstead(() => undefined),
    ...[...record.chunks.keys()].map((victim) =>
      sharesInstead((id, _index, honest) => (id === victim ? undefined : honest)),
    ),
  ],
  "replays registers": (record) => olderValues(record).map(({ id, value }) => serveValue(id, value)),
  "replays registers to half of its servers' askers": (record) =>
    olderValues(record).map(({ id, value }) =>
      valuesInstead((asked, honest, _record, position) => (asked === id && position % 2 === 0 ? value : honest)),
    ),
  "replays registers and has lost the newer chunks": (record) =>
    olderValues(record).map(({ id, value }) =>
      together(
        serveValue(id, value),
        sharesInstead((chunk, _index, honest, { chunks }) =>
          [...chunks.keys()].indexOf(chunk) < chunks.size / 2 ? honest : undefined,
        ),
      ),
    ),
  "swaps registers": (record) =>
    pairsOf([...record.registers.keys()]).flatMap(([victim, other]) =>
      record.registers.get(other)!.map((value) => serveValue(victim, value)),
    ),
  "keeps registers back": () => [valuesInstead(() => undefined)],
  "alters registers": () =>
    [0, 5, 40, 60, 200, -1, -60].map((at) =>
      valuesInstead((_id, honest) => {
        if (!honest) return honest
        const bytes = Uint8Array.from(honest)
        bytes[at < 0 ? bytes.length + at : at % bytes.length]! ^= 1
        return bytes
      }),
    ),
  "oversizes everything": () => [
    together(
      sharesInstead((_id, _index, honest) => honest && resized(honest, 8 * limits.shareBytes)),
      valuesInstead((_id, honest) => honest && resized(honest, 64 * limits.registerValueBytes)),
      () => ({
        hasShares: async (ids) => ids.map(() => manyIndices),
        markShares: async (ids) => ids.map(() => ({ ok: true, held: manyIndices })),
      }),
    ),
  ],
  "takes a thing of one kind for another": (record) => {
    const values = [...record.registers.values()].flat()
    const shares = [...record.chunks.values()].flatMap((of) => [...of.values()])
    return [
      sharesInstead(() => values[0]),
      valuesInstead(() => shares[0]),
      valuesInstead(() => decodeShare(shares[0]!).payload),
      valuesInstead(() => encodeDescriptor(decodeShare(shares[0]!).descriptor)),
      sharesInstead((_id, _index, honest) => honest && encodeDescriptor(decodeShare(honest).descriptor)),
    ]
  },
}

function changed(change: (bytes: Uint8Array) => Uint8Array): Attack {
  return sharesInstead((_id, _index, honest) => honest && change(honest))
}

function serveValue(id: string, value: Uint8Array): Attack {
  return valuesInstead((asked, honest) => (asked === id ? value : honest))
}

/** Every value but the newest of each register. */
function olderValues({ registers }: Recorded): { readonly id: string; readonly value: Uint8Array }[] {
  return [...registers].flatMap(([id, values]) => values.slice(0, -1).map((value) => ({ id, value })))
}

/** Each item with one that came later, and one that came before. */
function pairsOf<T>(items: readonly T[], steps: readonly number[] = [1, -3]): (readonly [T, T])[] {
  const others = [...new Set(steps.map((step) => (step + items.length) % items.length))].filter((step) => step > 0)
  return items.flatMap((a, i) => others.map((step) => [a, items[(i + step) % items.length]!] as const))
}

const alterations: readonly ((descriptor: Descriptor) => Descriptor)[] = [
  (descriptor) => ({ ...descriptor, k: 1 }),
  (descriptor) => ({ ...descriptor, k: Math.min(descriptor.n, descriptor.k + 1) }),
  (descriptor) => ({ ...descriptor, ciphertextBytes: descriptor.ciphertextBytes - 1 }),
  (descriptor) => ({ ...descriptor, ciphertextBytes: descriptor.ciphertextBytes + 16 }),
  (descriptor) => ({ ...descriptor, shareHashes: descriptor.shareHashes.toReversed() }),
  (descriptor) => ({
    ...descriptor,
    n: 255,
    shareHashes: Array.from({ length: 255 }, () => descriptor.shareHashes[0]!),
  }),
]

function share(index: number, descriptor: Descriptor, payload: Uint8Array): Uint8Array {
  return concat(encodeShareHeader(index, encodeDescriptor(descriptor)), payload)
}

function renumbered(bytes: Uint8Array, index: number): Uint8Array {
  const other = Uint8Array.from(bytes)
  other[4] = index
  return other
}

function resized(bytes: Uint8Array, length: number): Uint8Array {
  const other = new Uint8Array(length)
  other.set(bytes.subarray(0, length))
  return other
}
