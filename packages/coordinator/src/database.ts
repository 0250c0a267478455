/**
 * The coordinator's state: members, invitations (hashes of their tokens only) and settings, in one SQLite file. Several
 * processes may open it: the coordinator and the commands that administer it on the same machine.
 */
import { timingSafeEqual } from "node:crypto"
import { chmodSync, existsSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { HoldfastError } from "@holdfast/core"
import { makePrivateFolder } from "@holdfast/core/node"
import type { Role } from "@holdfast/network"

/** A member as stored. */
export interface MemberRow {
  readonly id: string
  readonly role: Role
  readonly tenant: string
  readonly name: string
  /** What a client may do, with commas between; null for everything. */
  readonly roles: string | null
  readonly joinedMs: number
  readonly address: string | null
  readonly capacityBytes: number | null
  readonly announcedMs: number | null
  /** What a node would be lost with, JSON; null without labels. */
  readonly labels: string | null
  /** 1 for a node that keeps registers and never shares; null for all others. */
  readonly witness: 1 | null
  /** The newest version of a grid description that it said it reads; null before it said so. */
  readonly reads: number | null
}

/** What an invitation grants. */
export interface InviteRow {
  readonly role: Role
  readonly tenant: string
  readonly name: string
  /** As in MemberRow. */
  readonly roles: string | null
  readonly labels: string | null
  readonly witness: 1 | null
}

/** A tenant, by the clients that are or may become its members. */
export interface TenantRow {
  readonly tenant: string
  readonly members: number
  readonly invited: number
}

/** A member as its operator sees it. */
export interface KnownMember extends MemberRow {
  readonly revokedMs: number | null
  /** When the last certificate made for it ends. */
  readonly certificateEndMs: number | null
}

/** Who uses an invitation. */
export interface Claim {
  readonly keyId: string
  /** The id that it gets. */
  readonly memberId: string
  /** Its name, unless the invitation has one. */
  readonly name: string
  readonly nowMs: number
  /** The newest version of a grid description that it reads. */
  readonly reads: number
}

/** The member that a token makes, or why it makes none. */
export type ClaimOutcome =
  | { readonly ok: true; readonly invite: InviteRow; readonly memberId: string }
  | { readonly ok: false; readonly why: string }

const schema = `
  CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS members (
    id TEXT PRIMARY KEY, role TEXT NOT NULL, tenant TEXT NOT NULL, name TEXT NOT NULL, joined_ms INTEGER NOT NULL,
    address TEXT, capacity_bytes INTEGER, announced_ms INTEGER) STRICT;
  CREATE TABLE IF NOT EXISTS invites (
    token_hash BLOB PRIMARY KEY, role TEXT NOT NULL, tenant TEXT NOT NULL, name TEXT NOT NULL,
    expires_ms INTEGER NOT NULL, used_ms INTEGER) STRICT;
  CREATE TABLE IF NOT EXISTS keys (
    key_id TEXT PRIMARY KEY, member_id TEXT NOT NULL, token_hash BLOB, cert_pem TEXT, end_ms INTEGER,
    revoked_ms INTEGER) STRICT;
  CREATE TABLE IF NOT EXISTS revoked_members (member_id TEXT PRIMARY KEY, revoked_ms INTEGER NOT NULL) STRICT;
`
/** Columns that came later: table, column and type. */
const laterColumns = [
  ["members", "roles", "TEXT"],
  ["invites", "roles", "TEXT"],
  ["members", "labels", "TEXT"],
  ["invites", "labels", "TEXT"],
  ["members", "witness", "INTEGER"],
  ["invites", "witness", "INTEGER"],
  ["members", "reads", "INTEGER"],
] as const
const columns = `id, role, tenant, name, roles, joined_ms AS joinedMs, address, capacity_bytes AS capacityBytes,
  announced_ms AS announcedMs, labels, witness, reads`
const notRevoked = "id NOT IN (SELECT member_id FROM revoked_members)"
/** Ended invitations are remembered this long, for a clear answer. */
const rememberMs = 30 * 86_400_000
const maxInvites = 10_000
/** A member that reads descriptions of this version knows what a witness is. */
const witnessVersion = 4

/** The open database. */
export class Database {
  readonly #db: DatabaseSync

  /** Opens the file in `dir`, creating both unless `mustExist`. Throws ERR_NOT_FOUND. */
  constructor(dir: string, { mustExist = false }: { readonly mustExist?: boolean } = {}) {
    const path = join(dir, "coordinator.db")
    if (mustExist && !existsSync(path))
      throw new HoldfastError(
        "ERR_NOT_FOUND",
        `There is no coordinator in ${dir}. Start it once with "holdfast coordinator run", or name its directory.`,
        { dir },
      )
    makePrivateFolder(dir)
    this.#db = new DatabaseSync(path)
    this.#db.exec("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    this.#db.exec(schema)
    this.transaction(() => {
      for (const [table, column, type] of laterColumns) {
        const known = this.#db.prepare(`SELECT 1 FROM pragma_table_info('${table}') WHERE name = ?`).get(column)
        if (!known) this.#db.exec(`ALTER TABLE ${table} ADD COLUMN ${column} ${type}`)
      }
    })
    for (const suffix of ["", "-wal", "-shm"]) if (existsSync(path + suffix)) chmodSync(path + suffix, 0o600)
  }

  /** A setting, or undefined. */
  get(name: string): string | undefined {
    const row = this.#db.prepare("SELECT value FROM settings WHERE name = ?").get(name)
    return row?.value as string | undefined
  }

  /** Stores a setting. */
  set(name: string, value: string): void {
    this.#db
      .prepare("INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
      .run(name, value)
  }

  /** Forgets a setting. */
  unset(name: string): void {
    this.#db.prepare("DELETE FROM settings WHERE name = ?").run(name)
  }

  /** Runs `work` as one transaction that excludes other writers. */
  transaction<T>(work: () => T): T {
    this.#db.exec("BEGIN IMMEDIATE")
    try {
      const result = work()
      this.#db.exec("COMMIT")
      return result
    } catch (error) {
      this.#db.exec("ROLLBACK")
      throw error
    }
  }

  /** Remembers an invitation by the hash of its token. Throws ERR_LIMIT. */
  addInvite(tokenHash: Uint8Array, invite: InviteRow, expiresMs: number, nowMs: number): void {
    const { role, tenant, name, roles, labels, witness } = invite
    this.transaction(() => {
      this.#db.prepare("DELETE FROM invites WHERE expires_ms < ?").run(nowMs - rememberMs)
      const { count } = this.#db.prepare("SELECT count(*) AS count FROM invites").get() as { count: number }
      if (count >= maxInvites)
        throw new HoldfastError("ERR_LIMIT", `There are ${count} invitations already. Wait until some have ended.`)
      this.#db
        .prepare(
          `INSERT INTO invites (token_hash, role, tenant, name, roles, labels, witness, expires_ms)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(tokenHash, role, tenant, name, roles, labels, witness, expiresMs)
    })
  }

  /**
   * Uses an invitation up and makes its member, in one transaction: a token makes one member with one key, whatever
   * happens. The same token with the same key gives that member again, since the first answer may have been lost.
   */
  claimInvite(tokenHash: Uint8Array, claim: Claim): ClaimOutcome {
    const { keyId, memberId, name, nowMs, reads } = claim
    return this.transaction(() => {
      let found: Record<string, unknown> | undefined
      for (const row of this.#db.prepare("SELECT * FROM invites").iterate())
        if (timingSafeEqual(row.token_hash as Uint8Array, tokenHash)) found = row
      if (!found) return { ok: false, why: "is not known here" }
      const { role, tenant, roles, labels, witness } = found as unknown as InviteRow
      const key = this.#db.prepare("SELECT * FROM keys WHERE key_id = ?").get(keyId)
      const isAgain = key?.token_hash instanceof Uint8Array && timingSafeEqual(key.token_hash, tokenHash)
      if (found.used_ms !== null && !isAgain) return { ok: false, why: "was used already" }
      if ((found.expires_ms as number) <= nowMs) return { ok: false, why: "has expired" }
      if (witness !== null && reads < witnessVersion)
        return { ok: false, why: "is for a witness, which needs a newer Holdfast than this member runs" }
      if (key && (!isAgain || key.revoked_ms !== null))
        return { ok: false, why: "came with a key that is in use or revoked" }
      if (key) {
        const member = this.member(key.member_id as string)!
        return { ok: true, invite: { role, tenant, name: member.name, roles, labels, witness }, memberId: member.id }
      }
      const invite = { role, tenant, roles, labels, witness, name: (found.name as string) || name }
      this.#db.prepare("UPDATE invites SET used_ms = ? WHERE token_hash = ?").run(nowMs, tokenHash)
      this.#db
        .prepare(
          `INSERT INTO members (id, role, tenant, name, roles, labels, witness, reads, joined_ms)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(memberId, role, tenant, invite.name, roles, labels, witness, reads, nowMs)
      this.#db
        .prepare("INSERT INTO keys (key_id, member_id, token_hash) VALUES (?, ?, ?)")
        .run(keyId, memberId, tokenHash)
      return { ok: true, invite, memberId }
    })
  }

  /** The newest certificate made for a key. */
  certificateOf(keyId: string): string | undefined {
    const row = this.#db.prepare("SELECT cert_pem FROM keys WHERE key_id = ?").get(keyId)
    return (row?.cert_pem ?? undefined) as string | undefined
  }

  /** Remembers the certificate of a member's key. */
  keepCertificate(keyId: string, memberId: string, certPem: string, endMs: number): void {
    this.#db
      .prepare(
        `INSERT INTO keys (key_id, member_id, cert_pem, end_ms) VALUES (?, ?, ?, ?)
         ON CONFLICT (key_id) DO UPDATE SET cert_pem = excluded.cert_pem, end_ms = excluded.end_ms`,
      )
      .run(keyId, memberId, certPem, endMs)
  }

  /** Revokes a member with every key it ever had, for ever. */
  revoke(memberId: string, nowMs: number): void {
    this.transaction(() => {
      this.#db.prepare("INSERT OR IGNORE INTO revoked_members VALUES (?, ?)").run(memberId, nowMs)
      this.#db.prepare("UPDATE keys SET revoked_ms = ? WHERE member_id = ? AND revoked_ms IS NULL").run(nowMs, memberId)
    })
  }

  /** Revokes a key of the coordinator itself. */
  revokeKey(keyId: string, memberId: string, nowMs: number): void {
    this.#db
      .prepare(
        `INSERT INTO keys (key_id, member_id, revoked_ms) VALUES (?, ?, ?)
         ON CONFLICT (key_id) DO UPDATE SET revoked_ms = excluded.revoked_ms WHERE revoked_ms IS NULL`,
      )
      .run(keyId, memberId, nowMs)
  }

  /** The key that a member has now. */
  keyOf(memberId: string): string | undefined {
    const row = this.#db
      .prepare(
        "SELECT key_id FROM keys WHERE member_id = ? AND revoked_ms IS NULL ORDER BY end_ms DESC, key_id LIMIT 1",
      )
      .get(memberId)
    return row?.key_id as string | undefined
  }

  /** True for a revoked member. */
  isRevoked(memberId: string): boolean {
    return this.#db.prepare("SELECT 1 FROM revoked_members WHERE member_id = ?").get(memberId) !== undefined
  }

  /** The revoked keys, oldest first. */
  revokedKeys(): string[] {
    const rows = this.#db
      .prepare("SELECT key_id FROM keys WHERE revoked_ms IS NOT NULL ORDER BY revoked_ms, key_id")
      .all()
    return rows.map((row) => row.key_id as string)
  }

  /** How many keys are revoked. */
  revokedCount(): number {
    return this.#db.prepare("SELECT count(*) AS count FROM keys WHERE revoked_ms IS NOT NULL").get()!.count as number
  }

  /** A member by its id, unless it is revoked. */
  member(id: string): MemberRow | undefined {
    const row = this.#db.prepare(`SELECT ${columns} FROM members WHERE id = ? AND ${notRevoked}`).get(id)
    return row as MemberRow | undefined
  }

  /** All members that are not revoked, in order of their ids. */
  members(): MemberRow[] {
    const rows = this.#db.prepare(`SELECT ${columns} FROM members WHERE ${notRevoked} ORDER BY id`).all()
    return rows as unknown as MemberRow[]
  }

  /** The tenants that have clients, or invitations for some, by name. */
  tenants(nowMs: number): TenantRow[] {
    const rows = this.#db.prepare(
      `SELECT tenant, sum(member) AS members, sum(invited) AS invited FROM (
         SELECT tenant, 1 AS member, 0 AS invited FROM members WHERE role = 'client' AND ${notRevoked}
         UNION ALL
         SELECT tenant, 0, 1 FROM invites WHERE role = 'client' AND used_ms IS NULL AND expires_ms > ?)
       GROUP BY tenant ORDER BY tenant`,
    )
    return rows.all(nowMs) as unknown as TenantRow[]
  }

  /** Everybody who ever joined, revoked or not, in order of joining. */
  everybody(): KnownMember[] {
    const rows = this.#db.prepare(
      `SELECT ${columns}, (SELECT max(end_ms) FROM keys WHERE member_id = id) AS certificateEndMs,
         (SELECT revoked_ms FROM revoked_members WHERE member_id = id) AS revokedMs
       FROM members ORDER BY joined_ms, id`,
    )
    return rows.all() as unknown as KnownMember[]
  }

  /** Records where a node is. */
  announce(id: string, address: string, capacityBytes: number, nowMs: number): void {
    this.#db
      .prepare("UPDATE members SET address = ?, capacity_bytes = ?, announced_ms = ? WHERE id = ?")
      .run(address, capacityBytes, nowMs, id)
  }

  /** Says what a node would be lost with: labels in JSON, or null for none. */
  label(id: string, labels: string | null): void {
    this.#db.prepare("UPDATE members SET labels = ? WHERE id = ?").run(labels, id)
  }

  /** Records which description a member reads. */
  noteReads(id: string, version: number): void {
    this.#db.prepare("UPDATE members SET reads = ? WHERE id = ?").run(version, id)
  }

  close(): void {
    this.#db.close()
  }
}
