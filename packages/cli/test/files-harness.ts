/** The file commands in this process, over a store of memory backends: everything real but the network. */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { PassThrough, Writable } from "node:stream"
import { createMemoryPlace, type MemoryPlace } from "@holdfast/backends"
import { isHoldfastError } from "@holdfast/core"
import { nodeCrypto, nodeEnv } from "@holdfast/core/node"
import { type AccountAccess, type Backend, encodeCap, toReadCap } from "@holdfast/protocol"
import { createMemorySeen, createStore } from "@holdfast/store"
import { createTree } from "@holdfast/tree"
import { Command } from "commander"
import { accessOf, openAccount } from "../../client/src/account/account.ts"
import { openUploads } from "../../client/src/profile/uploads.ts"
import type { Session } from "../../client/src/volumes/session.ts"
import * as change from "../src/commands/files/change.ts"
import * as check from "../src/commands/files/check.ts"
import * as gc from "../src/commands/files/gc.ts"
import * as get from "../src/commands/files/get.ts"
import * as history from "../src/commands/files/history.ts"
import * as leakage from "../src/commands/files/leakage.ts"
import * as ls from "../src/commands/files/ls.ts"
import * as put from "../src/commands/files/put.ts"
import * as snapshot from "../src/commands/files/snapshot.ts"
import * as accountCommands from "../src/commands/grid/account.ts"
import * as alias from "../src/commands/grid/alias.ts"
import type { Context } from "../src/context.ts"
import { degradedOf } from "../src/degraded.ts"
import { createScreen } from "../src/screen.ts"

/** A grid of five servers in memory with the alias `home:` and a folder on disk. */
export interface Harness {
  readonly folder: string
  readonly backends: Backend[]
  /** What commands work with now. */
  session(): Session
  readonly aliases: Map<string, string>
  /** Lets time pass at the places. */
  pass(ms: number): void
  /** Another profile over the same places: of a person of its own, or another device of this account. */
  other(account?: "own" | "same"): Promise<Harness>
  /** What was written to standard error. */
  readonly warnings: string[]
  /** Runs a command; gives its standard output. */
  run(...args: string[]): Promise<string>
  /** Runs a command with --json; gives the value. */
  json<T>(...args: string[]): Promise<T>
  /** From now on commands are run on a terminal, where this is typed; `undefined` takes the terminal away. */
  typing(answer: string | undefined): void
  /** A server comes back empty. */
  replaceServer(position: number): void
  /** Forgets what was cached, as a new process would. */
  reopen(): Promise<void>
}

/** Servers that a test has itself, as the harness's account and clock make them. */
export type GivenServers = (
  access: AccountAccess,
  clock: { nowMs(): number },
) => readonly Backend[] | Promise<readonly Backend[]>

/** Sets it up, over other servers when `given`; all is removed after test `t`. */
export async function createHarness(t: { after(done: () => unknown): void }, given?: GivenServers): Promise<Harness> {
  const clock = { aheadMs: 0 }
  const places = Array.from({ length: 5 }, (_, i) => newPlace(`n${i + 1}`, clock))
  return harnessOver(t, { places, clock, given, accountSeed: randomBytes(32).toString("hex"), hasHome: false })
}

interface Surroundings {
  readonly places: MemoryPlace[]
  readonly clock: { aheadMs: number }
  readonly given?: GivenServers | undefined
  readonly accountSeed: string
  /** `home:` was made by another device. */
  readonly hasHome: boolean
}

function newPlace(id: string, clock: { readonly aheadMs: number }): MemoryPlace {
  return createMemoryPlace(id, nodeCrypto, { nowMs: () => Date.now() + clock.aheadMs })
}

async function harnessOver(t: { after(done: () => unknown): void }, around: Surroundings): Promise<Harness> {
  const { places, clock, given, accountSeed } = around
  const folder = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-files-"))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  fs.writeFileSync(paths.join(folder, "cert.pem"), "") // a member of a grid
  const account = await openAccount({ accountSeed })
  const ownClock = { nowMs: () => Date.now() + clock.aheadMs }
  const backends = given
    ? [...(await given(accessOf(account), ownClock))]
    : places.map((place) => place.backendOf(accessOf(account)))
  const aliases = new Map<string, string>()
  const states = new Map<string, string | undefined>()
  const warnings: string[] = []
  const seen = createMemorySeen()
  const deviceSeed = randomBytes(32)
  const device = {
    device: await nodeCrypto.publicKeyOf(deviceSeed),
    account: new Uint8Array(),
    name: "laptop/default",
    sign: (message: Uint8Array) => nodeCrypto.sign(deviceSeed, message),
  }
  const open = async (forRemoval = false): Promise<Session> => {
    const store = await createStore({
      env: nodeEnv,
      servers: backends.map((backend) => ({ backend, weight: 1 })),
      account: account.id,
      coding: { k: 3, happy: 4, n: 5 },
      registerMode: "crash",
      seen,
      device: async () => device,
      forRemoval,
    })
    return {
      store,
      backends,
      voters: backends,
      witnesses: [],
      isTaking: () => true,
      coding: { k: 3, happy: 4, n: 5 },
      env: nodeEnv,
      volume: "grid",
      nameOf: (id: string) => id,
      storage: "grid/test",
      profile: {
        aliases,
        volumes: new Map(),
        recoveryKits: new Map(),
        identityDir: folder,
        volumeOf: () => undefined,
        aliasState: (name: string) => states.get(name),
        setAlias: async (name: string, cap: string, { state }: { state?: string } = {}) => {
          aliases.set(name, cap)
          states.set(name, state)
        },
        removeAlias: async (name: string) => {
          aliases.delete(name)
          states.delete(name)
        },
        account: async () => account,
        ...openUploads(folder),
      },
      close: async () => undefined,
    } as unknown as Session
  }
  let session = await open()
  let removing: Promise<Session> | undefined
  const sessionFor = async (forRemoval = false) => {
    if (!forRemoval) return session
    removing ??= open(true)
    return removing
  }
  if (!around.hasHome) aliases.set("home", await addTree(session))
  let typed: string | undefined
  const harness: Harness = {
    folder,
    backends,
    session: () => session,
    aliases,
    warnings,
    pass(ms) {
      clock.aheadMs += ms
    },
    other: (whose = "own") =>
      harnessOver(t, {
        ...around,
        ...(whose === "own" ? { accountSeed: randomBytes(32).toString("hex") } : { hasHome: true }),
      }),
    async run(...args) {
      const pieces: Buffer[] = []
      const stdout = new Writable({
        write(piece: Buffer, _encoding, done) {
          pieces.push(piece)
          done()
        },
      })
      const context = {
        ...contextOf(stdout, warnings, sessionFor, args.includes("--json")),
        env: { XDG_CACHE_HOME: `${folder}/cache` },
        ...(typed !== undefined && {
          stdin: Object.assign(PassThrough.from([`${typed}\n`]), { isTTY: true }) as unknown as Context["stdin"],
          stderr: new Writable({
            write: (piece, _encoding, done) => {
              warnings.push(String(piece))
              done()
            },
          }) as unknown as Context["stderr"],
          isTerminal: true,
        }),
      }
      const program = new Command().exitOverride().option("--json")
      for (const module of [put, get, ls, change, snapshot, history, check, leakage, gc, alias, accountCommands])
        module.register(program, context)
      for (const command of program.commands) command.option("--json")
      for (const command of program.commands) for (const inner of command.commands) inner.option("--json")
      await program.parseAsync(args, { from: "user" })
      return Buffer.concat(pieces).toString("utf8")
    },
    async json(...args) {
      return JSON.parse(await harness.run(...args, "--json"))
    },
    typing(answer) {
      typed = answer
    },
    replaceServer(position) {
      places[position] = newPlace(places[position]!.id, clock)
      backends[position] = places[position]!.backendOf(accessOf(account))
    },
    async reopen() {
      session = await open()
      removing = undefined
    },
  }
  return harness
}

/** Makes an empty tree; gives its write capability. */
export async function addTree(session: Session): Promise<string> {
  const seed = nodeCrypto.random(32)
  const { publicKey, readKey } = await toReadCap(nodeCrypto, { kind: "dw", seed })
  const { chunks, registers } = session.store
  await createTree({ chunks, registers, env: nodeEnv, keys: { publicKey, readKey, seed } })
  return encodeCap({ kind: "dw", seed })
}

function contextOf(
  stdout: Writable,
  warnings: string[],
  sessionFor: (forRemoval?: boolean) => Promise<Session>,
  json: boolean,
): Context {
  return {
    stdin: process.stdin,
    stdout: stdout as unknown as Context["stdout"],
    stderr: { write: (text: string) => warnings.push(text) } as unknown as Context["stderr"],
    env: {},
    json,
    isTerminal: false,
    profile: "test",
    passphraseSource: undefined,
    volume: "grid",
    passphrase: () => Promise.reject(new Error("the profile is not locked")),
    follow: async () => undefined,
    settle: async () => undefined,
    openOwnSession: (_volume, { forRemoval } = {}) => sessionFor(forRemoval),
    openProfile: async () => (await sessionFor()).profile,
    ...createScreen({ stdout, stderr: { write: (text) => warnings.push(text) }, json }),
    progress: () => ({ add: () => undefined, close: () => undefined }),
    openSession: async (_volume, { forRemoval } = {}) => sessionFor(forRemoval),
    interruption: {
      signal: new AbortController().signal,
      lateSignal: new AbortController().signal,
      reason: undefined,
      finish: () => undefined,
    },
    degraded: async () => degradedOf([await sessionFor()]),
    async outputChanged(value, text) {
      this.done(json ? { ...value, degraded: (await this.degraded()) ?? null } : value, text)
    },
    close: async () => undefined,
  }
}

/** A tree `inner:` with `bytes` as its file, linked in at `where`. */
export async function linkInner(
  { folder, run }: Pick<Harness, "folder" | "run">,
  bytes: Uint8Array,
  where = "home:/linked",
): Promise<void> {
  await run("alias", "create", "inner")
  fs.writeFileSync(`${folder}/inner`, bytes)
  await run("put", `${folder}/inner`, "inner:/file")
  fs.writeFileSync(`${folder}/inner.cap`, await run("cap", "inner:"), { mode: 0o600 })
  await run("ln", `@file:${folder}/inner.cap`, where)
}

/** True for an error of ours with this code. */
export const withCode = (code: string) => (error: unknown) => isHoldfastError(error) && error.code === code

/** A folder `src` with a small and a large file, a folder and a symlink. */
export function fill(folder: string): void {
  fs.mkdirSync(`${folder}/src/sub`, { recursive: true })
  fs.writeFileSync(`${folder}/src/a.txt`, "alpha")
  fs.writeFileSync(`${folder}/src/b.bin`, Buffer.alloc(3_000_000, 1))
  fs.writeFileSync(`${folder}/src/sub/c.txt`, "c".repeat(2000))
  fs.symlinkSync("../a.txt", `${folder}/src/sub/l`)
}
