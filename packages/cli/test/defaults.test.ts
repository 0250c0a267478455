import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import { CommandWithVariables, defaultsFile, readDefaults, withoutDefaults } from "../src/defaults.ts"

function configFolder(t: { after(done: () => void): void }, text?: string): string {
  const folder = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-defaults-"))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  if (text !== undefined) fs.writeFileSync(`${folder}/${defaultsFile}`, text)
  return folder
}

test("the file of defaults says what the environment does not", (t) => {
  const env = { HOLDFAST_VOLUME: "typed" }
  const folder = configFolder(
    t,
    "# mine\nHOLDFAST_VOLUME=clouds\nHOLDFAST_EXCLUDE_CACHES=1\nHOLDFAST_EXCLUDE='*.tmp'\n",
  )
  readDefaults(folder, env)
  assert.deepEqual(env, { HOLDFAST_VOLUME: "typed", HOLDFAST_EXCLUDE_CACHES: "1", HOLDFAST_EXCLUDE: "*.tmp" })
  const empty = {}
  readDefaults(configFolder(t), empty)
  assert.deepEqual(empty, {})
})

test("a file of defaults that sets what is not ours, or is none, is refused with its path", (t) => {
  const folder = configFolder(t, "PATH=/nowhere\n")
  const refused = (error: unknown) => isHoldfastError(error, "ERR_INVALID_ARGUMENT") && error.message.includes(folder)
  assert.throws(() => readDefaults(folder, {}), refused)
  fs.rmSync(`${folder}/${defaultsFile}`)
  fs.mkdirSync(`${folder}/${defaultsFile}`)
  assert.throws(() => readDefaults(folder, {}), refused)
})

test("a file of defaults that others may change is refused: it may name a command to run", (t) => {
  const folder = configFolder(t, "HOLDFAST_PASSPHRASE_COMMAND=true\n")
  const file = `${folder}/${defaultsFile}`
  const { uid } = fs.statSync(file)
  for (const [mode, gid] of [
    [0o602, uid],
    [0o666, uid],
    [0o620, uid + 1],
  ] as const) {
    fs.chownSync(file, uid, process.getuid?.() === 0 ? gid : fs.statSync(file).gid)
    fs.chmodSync(file, mode)
    if (process.getuid?.() !== 0 && mode === 0o620) continue // only root gives a file to any group
    assert.throws(
      () => readDefaults(folder, {}),
      (error) => isHoldfastError(error, "ERR_EXPOSED") && error.message.includes(file),
    )
  }
  fs.chmodSync(file, 0o644)
  readDefaults(folder, {})
})

test("each flag has a variable; what is typed counts more, and 0 turns nothing on", () => {
  const parse = (env: Record<string, string>, ...args: string[]) => {
    Object.assign(process.env, env)
    const program = new CommandWithVariables("holdfast").option("--json").option("--accept-rollback")
    const put = program
      .command("put")
      .requiredOption("--dir <folder>")
      .option("-x, --one-file-system")
      .option("--exclude <pattern>", "", (value, all: readonly string[] = []) => [...all, value])
      .option("--no-owner")
      .action(() => undefined)
    program.parse(["put", ...args], { from: "user" })
    for (const name of Object.keys(env)) delete process.env[name]
    const { dir, ...rest } = { ...program.opts(), ...put.opts() } as Record<string, unknown>
    assert.equal(dir, "d")
    return rest
  }
  assert.deepEqual(
    parse({
      HOLDFAST_PUT_DIR: "d",
      HOLDFAST_PUT_ONE_FILE_SYSTEM: "1",
      HOLDFAST_JSON: "yes",
      HOLDFAST_PUT_NO_OWNER: "true",
    }),
    {
      ...{ oneFileSystem: true, json: true, owner: false },
    },
  )
  assert.deepEqual(
    parse({
      HOLDFAST_PUT_DIR: "d",
      HOLDFAST_PUT_ONE_FILE_SYSTEM: "0",
      HOLDFAST_JSON: "no",
      HOLDFAST_PUT_EXCLUDE: "",
      HOLDFAST_EXCLUDE: "b",
      HOLDFAST_ACCEPT_ROLLBACK: "1",
    }),
    { owner: true },
  )
  assert.deepEqual(parse({ HOLDFAST_PUT_DIR: "d", HOLDFAST_PUT_EXCLUDE: "a" })["exclude"], ["a"])
  assert.deepEqual(parse({ HOLDFAST_PUT_DIR: "d", HOLDFAST_PUT_EXCLUDE: "a" }, "--exclude", "b")["exclude"], ["b"])
})

test("the parts of a local grid take no variable and no file for flags of theirs", (t) => {
  const given = { HOME: "/h", HOLDFAST_ADVERTISE: "n1.example.org:7444", HOLDFAST_MONITOR: "9000", HOLDFAST_DEBUG: "1" }
  const env = withoutDefaults(given)
  readDefaults(configFolder(t, "HOLDFAST_QUOTA=1\n"), env)
  assert.deepEqual(env, { HOME: "/h", HOLDFAST_DEBUG: "1", HOLDFAST_DEFAULTS: "none" })
  Object.assign(process.env, { HOLDFAST_MONITOR: "9000", HOLDFAST_DEFAULTS: "none" })
  const command = new CommandWithVariables().option("--monitor <address>").parse([], { from: "user" })
  for (const name of ["HOLDFAST_MONITOR", "HOLDFAST_DEFAULTS"]) delete process.env[name]
  assert.deepEqual(command.opts(), {})
})
