/** Authorities, members and servers for these tests: real keys on disk, real sockets on loopback. */
import { mkdtemp, rm } from "node:fs/promises"
import type { IncomingMessage, ServerResponse } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "node:test"
import {
  type Authority,
  checkIdentity,
  closeServer,
  createAuthority,
  createKeyAndRequest,
  createTlsServer,
  type Identity,
  listen,
  type SignOptions,
  type TlsServerOptions,
} from "../src/index.ts"

/** A directory that goes away with the test. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "holdfast-network-"))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** A new authority in a temporary directory. */
export async function newAuthority(t: TestContext): Promise<Authority> {
  return createAuthority(join(await temporaryDirectory(t), "ca"), "test grid")
}

/** A member that `authority` certified; valid at `nowMs` of the options. */
export async function newMember(authority: Authority, options: SignOptions): Promise<Identity> {
  const { keyPem, csrPem } = await createKeyAndRequest()
  const certPem = await authority.sign(csrPem, options)
  return checkIdentity({ keyPem, certPem, caPem: authority.caPem }, options.nowMs)
}

/** A server on a free port of loopback, closed with the test. */
export async function serve(
  t: TestContext,
  identity: Identity,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  options?: TlsServerOptions,
): Promise<number> {
  const server = createTlsServer(identity, handler, options)
  t.after(() => closeServer(server, 100))
  return listen(server, { host: "127.0.0.1", port: 0 })
}
