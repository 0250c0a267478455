/**
 * What whoever owns a place may change of what lies there, behind the back of its process: rows swapped, removed and made up, stamps
 * and counts changed, bytes and files exchanged.
 */
import { toHex } from "@holdfast/core"
import type { StoredDatabase } from "./database.ts"
import type { SimulatedDisk, StoredFile } from "./disk.ts"
import type { Random } from "./random.ts"

const huge = Number.MAX_SAFE_INTEGER

/** A change of an index of a storage directory; gives what it was. */
export function changeRows(database: StoredDatabase, random: Random): string {
  const kind = random.pick(Object.keys(changes))
  try {
    changes[kind]!(database, random)
  } catch (error) {
    // A row that exists already, a table that is not made yet.
    return `${kind} (${(error as Error).message})`
  }
  return kind
}

const tables = ["shares", "small", "registers", "marks", "register_marks", "kept", "batches", "accounts", "removing"]
const away = "../../../outside/thesis.tex"

type Rows = Record<string, number | string | Uint8Array | null>[]

/** Some rows of a table, in an order of chance. */
function rowsOf(database: StoredDatabase, random: Random, table: string, count: number): Rows {
  return random.some(database.query<Rows[number]>(`SELECT * FROM ${table} LIMIT 500`), count)
}

const changes: Record<string, (database: StoredDatabase, random: Random) => void> = {
  "rows are gone"(database, random) {
    const table = random.pick(tables)
    const column = columnOf(table)
    for (const row of rowsOf(database, random, table, random.between(1, 5)))
      database.tamper(`DELETE FROM ${table} WHERE ${column} = ?`, row[column]!)
  },
  "all of a table is gone"(database, random) {
    database.tamper(`DELETE FROM ${random.pick(tables)}`)
  },
  "small shares are swapped"(database, random) {
    const [a, b] = rowsOf(database, random, "small", 2)
    if (!a || !b) return
    database.tamper("UPDATE small SET bytes = ? WHERE row = ?", b.bytes!, a.row!)
    database.tamper("UPDATE small SET bytes = ? WHERE row = ?", a.bytes!, b.row!)
  },
  "chunks are swapped"(database, random) {
    const [a, b] = rowsOf(database, random, "shares", 2)
    if (!a || !b) return
    database.tamper("UPDATE shares SET chunk = zeroblob(32) WHERE row = ?", a.row!)
    database.tamper("UPDATE shares SET chunk = ?, idx = ? WHERE row = ?", a.chunk!, a.idx!, b.row!)
    database.tamper("UPDATE shares SET chunk = ?, idx = ? WHERE row = ?", b.chunk!, b.idx!, a.row!)
  },
  "shares have other numbers"(database, random) {
    for (const { row } of rowsOf(database, random, "shares", 3))
      database.tamper(
        "UPDATE shares SET idx = ? WHERE row = ?",
        random.pick([0, 1, 2, 3, 254, 255, 256, -1, huge]),
        row!,
      )
  },
  "shares have other sizes"(database, random) {
    for (const { row } of rowsOf(database, random, "shares", 3))
      database.tamper("UPDATE shares SET size = ? WHERE row = ?", random.pick([0, -1, 1, huge]), row!)
  },
  "shares are in other files"(database, random) {
    const rows = rowsOf(database, random, "shares", 6)
    const files = [away, "", "a".repeat(5000), ...rows.map(({ file }) => file ?? null)]
    for (const { row } of rows) database.tamper("UPDATE shares SET file = ? WHERE row = ?", random.pick(files), row!)
  },
  "files are about to be removed"(database, random) {
    const [tenant] = rowsOf(database, random, "tenants", 1)
    const files = [away, ...rowsOf(database, random, "shares", 3).map(({ file }) => file ?? away)]
    for (const file of files)
      database.tamper(
        "INSERT OR IGNORE INTO removing (tenant, file) VALUES (?, ?)",
        random.pick([tenant?.name ?? "t", "../.."]),
        file,
      )
  },
  "registers are swapped"(database, random) {
    const [a, b] = rowsOf(database, random, "registers", 2)
    if (!a || !b) return
    database.tamper("UPDATE registers SET value = ? WHERE register = ?", b.value!, a.register!)
    database.tamper("UPDATE registers SET value = ? WHERE register = ?", a.value!, b.register!)
  },
  "registers are as they were"(database, random) {
    for (const { register, sequence, value } of rowsOf(database, random, "kept", 5))
      database.tamper("UPDATE registers SET value = ?, sequence = ? WHERE register = ?", value!, sequence!, register!)
  },
  "sequences are others"(database, random) {
    const sequence = random.pick([0, -1, 1, huge])
    for (const { register } of rowsOf(database, random, "registers", 3))
      database.tamper("UPDATE registers SET sequence = ? WHERE register = ?", sequence, register!)
  },
  "values are damaged"(database, random) {
    for (const { register } of rowsOf(database, random, "registers", 3))
      database.tamper(
        "UPDATE registers SET value = ? WHERE register = ?",
        random.bytes(random.pick([0, 10, 70_000])),
        register!,
      )
  },
  "stamps are others"(database, random) {
    const stamp = random.pick([0, 1, -1, huge])
    const [table, column] = random.pick([
      ["batches", "stamp"],
      ["register_marks", "stamp"],
      ["kept", "received"],
      ["kept", "stamp"],
    ] as const)
    database.tamper(`UPDATE ${table} SET ${column} = ?`, stamp)
  },
  "the clock is another"(database, random) {
    database.tamper("INSERT OR REPLACE INTO meta (name, value) VALUES ('stamp', ?)", random.pick([0, -1, huge]))
  },
  "marks are another's"(database, random) {
    const accounts = rowsOf(database, random, "accounts", 2)
    if (accounts.length < 2) return
    const [from, to] = accounts as [Rows[number], Rows[number]]
    database.tamper("UPDATE OR IGNORE marks SET account = ? WHERE account = ?", to.account!, from.account!)
    database.tamper("UPDATE OR IGNORE register_marks SET account = ? WHERE account = ?", to.account!, from.account!)
  },
  "marks are of nobody"(database) {
    database.tamper("UPDATE OR IGNORE marks SET account = 999")
  },
  "batches are broken"(database, random) {
    database.tamper("UPDATE batches SET broken = ?, used = ?", random.pick([0, 1]), random.pick([0, 1]))
  },
  "counts are others"(database, random) {
    const count = random.pick([0, -1, -huge, huge])
    database.tamper("UPDATE accounts SET bytes = ?, shares = ?", count, count)
    database.tamper("UPDATE tenants SET bytes = ?, shares = ?, cost = ?", count, count, count)
  },
  "accounts are dropped"(database, random) {
    for (const { tenant, id } of rowsOf(database, random, "accounts", 2))
      database.tamper(
        "INSERT OR REPLACE INTO statements (tenant, id, serial, drops, stamp) VALUES (?, ?, ?, 1, ?)",
        tenant!,
        id!,
        huge,
        random.pick([0, huge]),
      )
  },
  "it was closed in order"(database) {
    database.tamper("INSERT OR REPLACE INTO meta (name, value) VALUES ('clean', 1)")
  },
}

/** The first column that finds rows of a table again. */
function columnOf(table: string): string {
  const columns: Record<string, string> = {
    shares: "row",
    small: "row",
    marks: "share",
    batches: "batch",
    accounts: "account",
    removing: "file",
  }
  return columns[table] ?? "register"
}

/** A change of files: two are exchanged, one is empty, cut or another's; gives what it was. */
export function changeFiles(disk: SimulatedDisk, random: Random, folder: string): string {
  const files = random.some(disk.files(folder), 2)
  const [a, b] = files as [StoredFile | undefined, StoredFile | undefined]
  if (!a) return "no file"
  const bytes = random.pick([b?.bytes, new Uint8Array(), a.bytes.slice(0, 100), random.bytes(5000)])
  const before = a.bytes
  put(a, bytes ?? new Uint8Array())
  if (b && bytes === b.bytes) put(b, before)
  return `${b && bytes === b.bytes ? "files exchanged" : "a file changed"}`
}

function put(file: StoredFile, bytes: Uint8Array): void {
  file.bytes = bytes.slice()
  file.durable = file.bytes
  file.unsynced = []
}

/** A change of a bucket's objects. */
export function changeObjects(objects: Map<string, { bytes: Uint8Array; modifiedMs: number }>, random: Random): string {
  const keys = [...objects.keys()].filter((key) => key.includes("/")).sort()
  if (keys.length === 0) return "no object"
  const [a, b] = [random.pick(keys), random.pick(keys)]
  const [first, second] = [objects.get(a)!, objects.get(b)!]
  const kind = random.pick([
    "swapped",
    "gone",
    "cut",
    "another name",
    "older",
    "younger",
    "all of a kind gone",
  ] as const)
  if (kind === "swapped") [first.bytes, second.bytes] = [second.bytes, first.bytes]
  else if (kind === "gone") objects.delete(a)
  else if (kind === "cut") first.bytes = first.bytes.slice(0, random.between(0, first.bytes.length))
  else if (kind === "another name") objects.set(nameLike(a, random), { ...first })
  else if (kind === "older") first.modifiedMs = 0
  else if (kind === "younger") first.modifiedMs = huge
  else for (const key of keys) if (key.split("/")[0] === a.split("/")[0]) objects.delete(key)
  return `an object ${kind}`
}

/** A key like another, as no writer of ours would make it. */
function nameLike(key: string, random: Random): string {
  const parts = key.split("/")
  const last = parts.at(-1)!
  const name = random.pick([
    `${last}x`,
    last.slice(0, -1),
    toHex(random.bytes(32)),
    "..",
    "",
    "\u001b[2J",
    last.toUpperCase(),
  ])
  return [...parts.slice(0, -1), name].join("/")
}
