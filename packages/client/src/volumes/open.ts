/** From a volume's description to its backends. One that cannot be opened fails when it is asked, not before. */
import { type BufferPool, HoldfastError } from "@holdfast/core"
import { systemClock as clock, nodeCrypto as crypto } from "@holdfast/core/node"
import { type AccountAccess, answeringBackend, type Backend, readHashes, type VolumeBackend } from "@holdfast/protocol"
import { accessOf } from "../account/account.ts"
import type { Profile } from "../profile/profile.ts"
import type { GridOptions } from "./grid.ts"
import { readMarkerIn } from "./marker.ts"

type Bucket = Extract<VolumeBackend, { kind: "s3" }>
type Directory = Extract<VolumeBackend, { kind: "directory" }>
type Node = Extract<VolumeBackend, { kind: "node" }>
type Connect = (place: VolumeBackend, buffers: BufferPool) => Backend

/** Another process may leave no room in a directory for so long. */
export const waitMs = 15_000

/** How places are opened. */
export interface OpenPlacesOptions extends GridOptions {
  /** The epoch of the volume's description: a bucket of a later one takes nothing. 1 by default. */
  readonly epoch?: number | undefined
}

/**
 * Gets ready to open backends; what is returned opens them, in the same order. Nodes need a profile. Throws ERR_NO_GRID
 * without a grid for nodes.
 */
export async function openBackends(
  profile: Profile | undefined,
  places: readonly VolumeBackend[],
  { epoch = 1, ...options }: OpenPlacesOptions = {},
): Promise<(buffers: BufferPool) => Backend[]> {
  const kinds = new Set(places.map(({ kind }) => kind))
  const account = await profile?.account()
  const access = account && accessOf(account)
  const toBucket = kinds.has("s3") ? await bucketConnector(access, epoch) : undefined
  const toNode = profile && kinds.has("node") ? await nodeConnector(profile, options) : undefined
  const connect: Connect = (place, buffers) => {
    if (place.kind === "s3") return toBucket!(place, buffers)
    return place.kind === "node" ? toNode!(place, buffers) : directoryBackend(place, access, account?.grant)
  }
  return (buffers) => places.map((place) => connect(place, buffers))
}

async function bucketConnector(access: AccountAccess | undefined, epoch: number) {
  const { createS3Backend } = await import("@holdfast/backends/s3")
  return (place: Bucket, buffers: BufferPool) => {
    const { id, conditionalWrites, kind: _, listing = "strong", ...location } = place
    const allocate = (sizeBytes: number) => buffers.take(sizeBytes)
    const given = { id, location, crypto, epoch, allocate }
    return createS3Backend({ ...given, conditionalWrites, listing, ...(access && { access }) })
  }
}

async function nodeConnector(profile: Profile, options: GridOptions) {
  const { openGrid } = await import("./grid.ts")
  const { grid, connect, close } = await openGrid(profile, options)
  let open = 0
  const backendOf = ({ id, name }: Node, buffers: BufferPool): Backend => {
    const server = grid.servers.find((known) => known.id === id)
    if (server) return connect(server, buffers)
    return lazyBackend(id, () => {
      throw unreachable(id, `the grid has no node ${name} any more. Replace it: holdfast volume remove-backend`)
    })
  }
  return (node: Node, buffers: BufferPool): Backend => {
    const backend = backendOf(node, buffers)
    open++
    return {
      ...backend,
      async close() {
        await backend.close()
        if (--open === 0) close() // the grid is followed for as long as one of its nodes is used
      },
    }
  }
}

function directoryBackend({ id, path }: Directory, access: AccountAccess | undefined, grant?: Uint8Array): Backend {
  return lazyBackend(id, async () => {
    const { openDirectoryBackend } = await import("@holdfast/backends/directory")
    const whose = { ...(access && { access }), ...(grant && { grant }) }
    checkDirectory({ id, path })
    return openDirectoryBackend({ id, dir: path, crypto, clock, waitMs, ...whose })
  })
}

/** Throws ERR_SERVER_UNREACHABLE when the volume's directory is not there. */
export function checkDirectory({ id, path }: Pick<Directory, "id" | "path">): void {
  if (readMarkerIn(path) === undefined)
    throw unreachable(id, `${path} is not there, or is not this volume's. Is its disk mounted?`)
}

/** A backend that is opened by its first call; when that fails, each call tries again. */
function lazyBackend(id: string, open: () => Backend | Promise<Backend>): Backend {
  let opened: Promise<Backend> | undefined
  const backend = () => {
    opened ??= Promise.resolve().then(open)
    opened.catch(() => {
      opened = undefined
    })
    return opened
  }
  return answeringBackend(id, {
    lacking: ["sweep"], // none but buckets need it
    async answer(name, args) {
      const place = await backend()
      const call = place[name] as ((...args: unknown[]) => Promise<unknown>) | undefined
      if (call) return call.apply(place, [...args])
      return name === "watchRegisters" ? readHashes(place, ...(args as unknown as WatchArguments)) : undefined
    },
    close: async () => (await opened?.catch(() => undefined))?.close(),
  })
}

type WatchArguments = Parameters<NonNullable<Backend["watchRegisters"]>>

function unreachable(id: string, why: string): HoldfastError {
  return new HoldfastError("ERR_SERVER_UNREACHABLE", `${id}: ${why}`, { server: id })
}
