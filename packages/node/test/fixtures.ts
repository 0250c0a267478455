/** A small grid for these tests: a real authority, real certificates, real sockets on loopback. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createNodeBackend } from "@holdfast/backends/node"
import {
  type Authority,
  createAgent,
  createAuthority,
  createKeyAndRequest,
  createLogger,
  type Identity,
  loadIdentity,
  parseAddress,
  type RequestOptions,
  RevokedKeys,
  type Role,
  requestBytes,
  saveIdentity,
} from "@holdfast/network"
import type { Backend } from "@holdfast/protocol"
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
}

/** The node at `address` as `identity` sees it. */
export function connect(address: string, identity: Identity, options: ConnectOptions = {}): Backend {
  const { id = "n1", revoked = [], ...bounds } = options
  const agent = createAgent(identity, {
    expectedId: id,
    expectedRole: "node",
    revoked: new RevokedKeys(revoked),
    maxSockets: 4,
  })
  return createNodeBackend({
    id,
    address,
    request: (call) => requestBytes(agent, { ...parseAddress(address), ...bounds, ...call }),
    close: () => agent.destroy(),
  })
}
