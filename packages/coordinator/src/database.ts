/**
 * The coordinator's state: members, invitations (hashes of their tokens only) and settings, in one SQLite file. Several
 * processes may open it: the coordinator and the commands that administer it on the same machine.
 */
import { timingSafeEqual } from "node:crypto"
import { chmodSync, existsSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { HoldfastError } from "@holdfast/core"
import type { Role } from "@holdfast/network"

/** A member as stored. */
export interface MemberRow {
  readonly id: string
  readonly role: Role
  readonly tenant: string
  readonly name: string
  readonly joinedMs: number
  readonly address: string | null
  readonly capacityBytes: number | null
  readonly announcedMs: number | null
}

/** What an invitation grants. */
export interface InviteRow {
  readonly role: Role
  readonly tenant: string
  readonly name: string
}

/** Why a token was not taken. */
export type ClaimOutcome =
  | { readonly ok: true; readonly invite: InviteRow }
  | { readonly ok: false; readonly why: string }

const schema = `
  CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS members (
    id TEXT PRIMARY KEY, role TEXT NOT NULL, tenant TEXT NOT NULL, name TEXT NOT NULL, joined_ms INTEGER NOT NULL,
    address TEXT, capacity_bytes INTEGER, announced_ms INTEGER) STRICT;
  CREATE TABLE IF NOT EXISTS invites (
    token_hash BLOB PRIMARY KEY, role TEXT NOT NULL, tenant TEXT NOT NULL, name TEXT NOT NULL,
    expires_ms INTEGER NOT NULL, used_ms INTEGER) STRICT;
`
const columns = `id, role, tenant, name, joined_ms AS joinedMs, address, capacity_bytes AS capacityBytes,
  announced_ms AS announcedMs`
/** Ended invitations are remembered this long, for a clear answer. */
const rememberMs = 30 * 86_400_000
const maxInvites = 10_000

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
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    this.#db = new DatabaseSync(path)
    this.#db.exec("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    this.#db.exec(schema)
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
  addInvite(tokenHash: Uint8Array, { role, tenant, name }: InviteRow, expiresMs: number, nowMs: number): void {
    this.transaction(() => {
      this.#db.prepare("DELETE FROM invites WHERE expires_ms < ?").run(nowMs - rememberMs)
      const { count } = this.#db.prepare("SELECT count(*) AS count FROM invites").get() as { count: number }
      if (count >= maxInvites)
        throw new HoldfastError("ERR_LIMIT", `There are ${count} invitations already. Wait until some have ended.`)
      this.#db.prepare("INSERT INTO invites VALUES (?, ?, ?, ?, ?, NULL)").run(tokenHash, role, tenant, name, expiresMs)
    })
  }

  /** Uses an invitation up and makes its member, in one transaction: a token works once, whatever happens. */
  claimInvite(tokenHash: Uint8Array, memberId: string, name: string, nowMs: number): ClaimOutcome {
    return this.transaction(() => {
      let found: Record<string, unknown> | undefined
      for (const row of this.#db.prepare("SELECT * FROM invites").iterate())
        if (timingSafeEqual(row.token_hash as Uint8Array, tokenHash)) found = row
      if (!found) return { ok: false, why: "is not known here" }
      if (found.used_ms !== null) return { ok: false, why: "was used already" }
      if ((found.expires_ms as number) <= nowMs) return { ok: false, why: "has expired" }
      const { role, tenant } = found as unknown as InviteRow
      const invite = { role, tenant, name: (found.name as string) || name }
      this.#db.prepare("UPDATE invites SET used_ms = ? WHERE token_hash = ?").run(nowMs, tokenHash)
      this.#db
        .prepare("INSERT INTO members (id, role, tenant, name, joined_ms) VALUES (?, ?, ?, ?, ?)")
        .run(memberId, role, tenant, invite.name, nowMs)
      return { ok: true, invite }
    })
  }

  /** A member by its id. */
  member(id: string): MemberRow | undefined {
    return this.#db.prepare(`SELECT ${columns} FROM members WHERE id = ?`).get(id) as MemberRow | undefined
  }

  /** All members, in order of their ids. */
  members(): MemberRow[] {
    return this.#db.prepare(`SELECT ${columns} FROM members ORDER BY id`).all() as unknown as MemberRow[]
  }

  /** Records where a node is. */
  announce(id: string, address: string, capacityBytes: number, nowMs: number): void {
    this.#db
      .prepare("UPDATE members SET address = ?, capacity_bytes = ?, announced_ms = ? WHERE id = ?")
      .run(address, capacityBytes, nowMs, id)
  }

  close(): void {
    this.#db.close()
  }
}
