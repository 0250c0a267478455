/** What a tenant's administrator asks and tells the nodes of a grid. */
import { createNodeBackend, type NodeBackend } from "@holdfast/backends/storage-node"
import { HoldfastError, toHex } from "@holdfast/core"
import { nodeCrypto as crypto } from "@holdfast/core/node"
import { type Identity, parseAddress, RevokedKeys, TransportClient } from "@holdfast/network"
import { type AccountInfo, type GridServer, signAccountsRequest } from "@holdfast/protocol"

/** Who asks. */
export interface Administrator {
  readonly tenant: string
  readonly seed: Uint8Array
  readonly identity: Identity
  readonly servers: readonly GridServer[]
  readonly revoked: readonly string[]
}

/** An account over all nodes that answered. */
export interface AccountTotal extends Omit<AccountInfo, "account"> {
  /** In hexadecimal. */
  readonly id: string
}

/** What nodes answered; `errors` by name of those that did not. */
export interface Asked<T> {
  readonly answers: ReadonlyMap<string, T>
  readonly errors: ReadonlyMap<string, string>
}

const pageSize = 1024

/** The accounts of the tenant, the one that holds most first. */
export async function listAccounts(
  administrator: Administrator,
): Promise<Asked<AccountInfo[]> & { all: AccountTotal[] }> {
  const asked = await atEach(administrator, (node) => accountsAt(administrator, node))
  return { ...asked, all: totalsOf([...asked.answers.values()].flat()) }
}

/** What accounts hold at all places that answered, the one that holds most first. */
export function totalsOf(infos: readonly AccountInfo[]): AccountTotal[] {
  const totals = new Map<string, AccountTotal>()
  for (const { account, ...info } of infos) {
    const id = toHex(account)
    const before = totals.get(id)
    totals.set(id, before ? joined(before, info) : { id, ...info })
  }
  return [...totals.values()].sort((a, b) => b.bytes - a.bytes)
}

/** Hands a signed statement to every node; those that do not take it hear of it from the coordinator. */
export function tellNodes(administrator: Administrator, statement: Uint8Array): Promise<Asked<void>> {
  return atEach(administrator, (node) => node.publishStatement(statement))
}

async function accountsAt({ tenant, seed }: Administrator, node: NodeBackend): Promise<AccountInfo[]> {
  const all: AccountInfo[] = []
  for (;;) {
    const after = all.at(-1)?.account
    const request = {
      tenant,
      place: node.id,
      token: await node.requestToken(),
      limit: pageSize,
      ...(after && { after }),
    }
    const page = await node.listAccounts(await signAccountsRequest(crypto, seed, request))
    if (
      page.some(({ account }, i) => toHex(account) <= toHex((i > 0 ? page[i - 1]!.account : after) ?? new Uint8Array()))
    )
      throw new HoldfastError("ERR_BAD_FORMAT", "its list of accounts is not in order")
    all.push(...page)
    if (page.length < pageSize) return all
  }
}

function joined(a: AccountTotal, b: Omit<AccountInfo, "account">): AccountTotal {
  const times = [a.droppedAtMs, b.droppedAtMs].filter((ms) => ms !== undefined)
  return {
    id: a.id,
    bytes: a.bytes + b.bytes,
    shares: a.shares + b.shares,
    seenDay: Math.max(a.seenDay, b.seenDay),
    devices: [...new Set([...a.devices, ...b.devices])],
    ...(times.length > 0 && { droppedAtMs: Math.min(...times) }),
  }
}

function atEach<T>(
  { identity, servers, revoked }: Administrator,
  work: (node: NodeBackend) => Promise<T>,
): Promise<Asked<T>> {
  const revokedKeys = new RevokedKeys(revoked)
  return askEach(
    servers,
    ({ name }) => name,
    ({ id, address, key }) => {
      const expected = { expectedId: id, expectedRole: "node" as const, ...(key && { expectedKey: key }) }
      const transport = new TransportClient(identity, { ...expected, revoked: revokedKeys })
      const node = createNodeBackend({
        ...{ id, address },
        request: (call) => transport.request({ ...parseAddress(address), ...call }),
        close: () => transport.close(),
      })
      return work(node).finally(() => node.close())
    },
  )
}

/** Asks all places at once; each fails by itself. */
export async function askEach<Place, T>(
  places: readonly Place[],
  nameOf: (place: Place) => string,
  ask: (place: Place) => Promise<T>,
): Promise<Asked<T>> {
  const answers = new Map<string, T>()
  const errors = new Map<string, string>()
  await Promise.all(
    places.map(async (place) => {
      try {
        answers.set(nameOf(place), await ask(place))
      } catch (error) {
        errors.set(nameOf(place), error instanceof Error ? error.message : String(error))
      }
    }),
  )
  return { answers, errors }
}
