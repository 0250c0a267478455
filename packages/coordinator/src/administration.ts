/**
 * The administration keys of tenants: each is made at its first use and kept in the coordinator's database, which only its owner
 * may read. Nodes learn the public halves, and what was said of accounts, when they announce themselves.
 */
import { generateKeyPairSync, randomBytes } from "node:crypto"
import { join } from "node:path"
import { encodeBase32, HoldfastError, matching, parseOr, record, text } from "@holdfast/core"
import {
  checkIdentity,
  createKeyAndRequest,
  type Identity,
  openAuthority,
  parseJson,
  type TenantAdministration,
} from "@holdfast/network"
import type { GridServer } from "@holdfast/protocol"
import * as v from "valibot"
import { Database } from "./database.ts"
import { storedGrid } from "./grid.ts"

const keySchema = v.object({ seed: matching(/^[0-9a-f]{64}$/), publicKey: matching(/^[0-9a-f]{64}$/) })
const statementsSchema = record(text(2048), /^[0-9a-f]{64}$/)
const mostStatements = 4096

/** What a tenant's administrator has to work with, on the coordinator's own machine. */
export interface Administration {
  readonly tenant: string
  /** Seed of the administration key, in hexadecimal. */
  readonly seed: string
  readonly servers: readonly GridServer[]
  /** Keys that no member accepts any more. */
  readonly revoked: readonly string[]
  /** A certificate of the tenant that can look and nothing else; its key is kept nowhere. */
  identity(): Promise<Identity>
  /** The number of the next statement: above all before, also when the database is an older copy. */
  nextSerial(nowMs: number): number
  /** Keeps the newest statement on an account, for nodes that are away now. Throws ERR_LIMIT. */
  keep(account: string, statement: Uint8Array): void
  close(): void
}

/** Opens the administration of a tenant; of the only one when none is named. Throws ERR_NOT_FOUND, ERR_INVALID_ARGUMENT. */
export function openAdministration({
  dir,
  tenant: asked,
}: {
  dir: string
  tenant?: string | undefined
}): Administration {
  const database = new Database(dir, { mustExist: true })
  try {
    const tenant = chosen(tenantsOf(database), asked)
    const { seed } = keyOf(database, tenant)
    const { servers, revoked = [] } = describedGrid(database)
    return {
      ...{ tenant, seed, servers, revoked },
      identity: () => identityOf(dir, tenant),
      nextSerial: (nowMs) => nextSerial(database, nowMs),
      keep: (account, statement) => keepStatement(database, tenant, { account, statement }),
      close: () => database.close(),
    }
  } catch (error) {
    database.close()
    throw error
  }
}

/** What nodes are told of all tenants. */
export function administrationOf(database: Database): TenantAdministration[] {
  return tenantsOf(database).map((tenant) => ({
    tenant,
    key: keyOf(database, tenant).publicKey,
    statements: Object.values(statementsOf(database, tenant)),
  }))
}

/** Tenants that have, had or may get members. */
function tenantsOf(database: Database): string[] {
  const joined = database.everybody().flatMap(({ role, tenant }) => (role === "client" ? [tenant] : []))
  const invited = database.tenants(Date.now()).map(({ tenant }) => tenant)
  return [...new Set([...joined, ...invited])].sort()
}

function chosen(tenants: readonly string[], asked: string | undefined): string {
  if (asked !== undefined && tenants.includes(asked)) return asked
  const known = `There ${tenants.length === 1 ? "is" : "are"}: ${tenants.join(", ")}.`
  if (asked !== undefined)
    throw new HoldfastError("ERR_NOT_FOUND", `This grid has no tenant "${asked}". ${tenants.length > 0 ? known : ""}`)
  if (tenants.length === 1) return tenants[0]!
  if (tenants.length === 0) throw new HoldfastError("ERR_NOT_FOUND", "This grid has no tenant yet: nobody was invited.")
  throw new HoldfastError("ERR_INVALID_ARGUMENT", `Say which tenant is meant, with --tenant. ${known}`)
}

function keyOf(database: Database, tenant: string): v.InferOutput<typeof keySchema> {
  return database.transaction(() => {
    const name = `administrator ${tenant}`
    const stored = database.get(name)
    if (stored !== undefined) return parseOr(keySchema, parseJson(stored, name), name)
    const { x, d } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" })
    const hex = (text: string | undefined) => Buffer.from(text!, "base64url").toString("hex")
    const made = { seed: hex(d), publicKey: hex(x) }
    database.set(name, JSON.stringify(made))
    return made
  })
}

function statementsOf(database: Database, tenant: string): Record<string, string> {
  const name = `statements ${tenant}`
  const stored = database.get(name)
  return stored === undefined ? {} : parseOr(statementsSchema, parseJson(stored, name), name)
}

function keepStatement(
  database: Database,
  tenant: string,
  { account, statement }: { account: string; statement: Uint8Array },
): void {
  database.transaction(() => {
    const next = { ...statementsOf(database, tenant), [account]: Buffer.from(statement).toString("base64") }
    if (Object.keys(next).length > mostStatements)
      throw new HoldfastError("ERR_LIMIT", `A tenant's administrator speaks of at most ${mostStatements} accounts.`)
    database.set(`statements ${tenant}`, JSON.stringify(next))
  })
}

function nextSerial(database: Database, nowMs: number): number {
  return database.transaction(() => {
    const serial = Math.max(Number(database.get("statementSerial") ?? 0) + 1, nowMs)
    database.set("statementSerial", String(serial))
    return serial
  })
}

function describedGrid(database: Database) {
  const grid = storedGrid(database)
  if (grid) return grid
  throw new HoldfastError("ERR_NOT_FOUND", "The coordinator has described no grid yet. Start it once.")
}

async function identityOf(dir: string, tenant: string): Promise<Identity> {
  const authority = await openAuthority(join(dir, "authority"))
  const { keyPem, csrPem } = await createKeyAndRequest()
  const memberId = encodeBase32(randomBytes(10))
  const certPem = await authority.sign(csrPem, { memberId, role: "client", tenant, roles: ["read"], serverNames: [] })
  return checkIdentity({ keyPem, certPem, caPem: authority.caPem })
}
