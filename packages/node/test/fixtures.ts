/** A small grid for these tests: a real authority, real certificates, real sockets on loopback. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createNodeBackend, type NodeBackend } from "@holdfast/backends/storage-node"
import { nodeCrypto } from "@holdfast/core/node"
import {
  type Authority,
  createAuthority,
  createKeyAndRequest,
  createLogger,
  type Identity,
  keyIdOf,
  loadIdentity,
  parseAddress,
  type RequestOptions,
  RevokedKeys,
  type Role,
  saveIdentity,
  TransportClient,
} from "@holdfast/network"
import { signGrant } from "@holdfast/protocol"
import type { TestAccount } from "@holdfast/protocol/testing"
import { type NodeOptions, type StorageNode, startNode } from "../src/index.ts"

/** An authority with a node's identity and directories, all temporary. */
export interface TestGrid {
  readonly dir: string
  readonly authority: Authority
  readonly nodeIdentityDir: string
  member(memberId: string, role: Role, tenant: string): Promise<Identity>
  start(options?: Partial<NodeOptions>): Promise<StorageNode>
  remove(): Promise<void>
}

/** Makes a grid; its node is "n1". */
export async function newGrid(): Promise<TestGrid> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-node-"))
  const authority = await createAuthority(join(dir, "ca"), "test grid")
  const member = async (memberId: string, role: Role, tenant: string) => {
    const { keyPem, csrPem } = await createKeyAndRequest()
    const certPem = await authority.sign(csrPem, { memberId, role, tenant })
    await saveIdentity(join(dir, memberId), { keyPem, certPem, caPem: authority.caPem })
    return loadIdentity(join(dir, memberId))
  }
  await member("n1", "node", "grid")
  const nodeIdentityDir = join(dir, "n1")
  return {
    dir,
    authority,
    nodeIdentityDir,
    member,
    start: (options) =>
      startNode({
        identityDir: nodeIdentityDir,
        dir: join(dir, "data"),
        host: "127.0.0.1",
        port: 0,
        reservedBytes: 0,
        scrub: false,
        logger: createLogger({ stream: { write: () => undefined } }),
        ...options,
      }),
    remove: () => rm(dir, { recursive: true, force: true }),
  }
}

/** How a client sees a node. */
export interface ConnectOptions extends Pick<RequestOptions, "timeoutMs" | "deadlineMs"> {
  /** The node's member id. Default "n1". */
  readonly id?: string
  readonly revoked?: readonly string[]
  readonly grant?: Uint8Array
}

/** What `account` says of the device that has `identity`. */
export function grantFor(identity: Identity, { seed, roles }: TestAccount, epoch = 1): Promise<Uint8Array> {
  const deviceKey = Buffer.from(keyIdOf(identity.certPem), "base64url")
  return signGrant(nodeCrypto, seed, { epoch, deviceKey, roles, name: identity.memberId })
}

/** The node at `address` as `identity` sees it. */
export function connect(address: string, identity: Identity, options: ConnectOptions = {}): NodeBackend {
  const { id = "n1", revoked = [], grant, ...bounds } = options
  const transport = new TransportClient(identity, {
    expectedId: id,
    expectedRole: "node",
    revoked: new RevokedKeys(revoked),
    maxSockets: 4,
  })
  return createNodeBackend({
    id,
    address,
    ...(grant && { grant }),
    request: (call) => transport.request({ ...parseAddress(address), ...bounds, ...call }),
    close: () => transport.close(),
  })
}
