import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { HoldfastError } from "@holdfast/core"
import { command, compiled } from "../../../e2e/command.ts"
import { exitCodeOf, reportError } from "../src/exit-codes.ts"

function homeOf(t: TestContext): string {
  const home = fs.mkdtempSync(join(tmpdir(), "holdfast-program-"))
  t.after(() => fs.rmSync(home, { recursive: true, force: true }))
  return home
}

function run(t: TestContext, args: readonly string[], { input = "", env = {}, home = homeOf(t) } = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], {
    env: { ...compiled, PATH: process.env["PATH"], HOME: home, ...env },
    input,
    encoding: "utf8",
  })
  return { status, stdout, stderr }
}

test("a mistyped command or option ends with 2 and suggests the right one", (t) => {
  const typed = run(t, ["alais"])
  assert.equal(typed.status, 2)
  assert.match(typed.stderr, /unknown command 'alais'[\s\S]*Did you mean alias\?/)
  const option = run(t, ["put", "--overwrit", "a", "b:"])
  assert.equal(option.status, 2)
  assert.match(option.stderr, /Did you mean --overwrite\?/)
})

test("a value that no command took is not repeated, since it may be a passphrase", (t) => {
  const secret = "hunter2'\n but got 3: correct horse"
  const wrong = [
    ["lock", secret],
    ["recovery", "kit", secret, secret],
    ["lock", `--pass-phrase=${secret}`],
    ["unlock", `--pw=${secret}`],
    ["ls", `-p${secret}`],
    ["put", `-v${secret}`],
  ]
  for (const [i, args] of wrong.entries()) {
    const json = i % 2 === 0 ? [] : ["--json"]
    const { status, stdout, stderr } = run(t, [...args, ...json], { env: { HOLDFAST_DEBUG: "1" } })
    assert.equal(status, 2, args.join(" "))
    assert.match(stdout + stderr, /too many arguments|unknown option '--?[a-z]/)
    assert.doesNotMatch(stdout + stderr, /unter2|horse/)
  }
  assert.match(run(t, ["put", "--overwrit=x", "a", "b:"]).stderr, /unknown option '--overwrit=…'/)
})

test("with --json an error is one JSON value on standard output, usage errors too", (t) => {
  const cases = [
    { args: ["ls", "home:"], code: "ERR_NO_PROFILE", status: 3 },
    { args: ["ls", "--nonsense"], code: "ERR_INVALID_ARGUMENT", status: 2 },
    { args: ["frobnicate"], code: "ERR_INVALID_ARGUMENT", status: 2 },
    { args: ["up", "--nodes", "0"], code: "ERR_INVALID_ARGUMENT", status: 2 },
    { args: ["--profile", "a/b", "ls"], code: "ERR_INVALID_ARGUMENT", status: 2 },
    { args: ["alias", "add", "x", "--cap-file", "/nowhere"], code: "ERR_NOT_FOUND", status: 3 },
  ]
  for (const { args, code, status } of cases) {
    const ended = run(t, [...args, "--json"])
    const { error } = JSON.parse(ended.stdout) as { error: { code: string; message: string; details: unknown } }
    assert.equal(error.code, code, args.join(" "))
    assert.ok(error.message.length > 10 && typeof error.details === "object")
    assert.equal(ended.status, status, args.join(" "))
    assert.equal(ended.stderr, "", args.join(" "))
  }
})

test("a file that others may read is no better as standard input than by its name", (t) => {
  const home = homeOf(t)
  const file = join(home, "secret")
  fs.writeFileSync(file, "hf-invite:abc", { mode: 0o600 })
  for (const [mode, said] of [
    [0o600, /not a valid invitation/],
    [0o644, /standard input is a file that is not yours alone.*chmod go=/],
  ] as const) {
    fs.chmodSync(file, mode)
    const stdin = fs.openSync(file, "r")
    const { status, stderr } = spawnSync(process.execPath, [command, "join"], {
      env: { ...compiled, PATH: process.env["PATH"], HOME: home },
      stdio: [stdin, "pipe", "pipe"],
      encoding: "utf8",
    })
    fs.closeSync(stdin)
    assert.equal(status, 6)
    assert.match(stderr, said)
  }
  assert.match(run(t, ["join"], { input: "hf-invite:abc" }).stderr, /not a valid invitation/)
})

test("an error of the user never shows a stack, unless it is asked for", (t) => {
  for (const args of [["ls"], ["get", "home:a", "b"], ["join", "--invite-file", "/nowhere"], ["completion", "csh"]]) {
    const { stderr, status } = run(t, args)
    assert.notEqual(status, 0)
    assert.match(stderr, /^holdfast: .+\n$/, args.join(" "))
  }
  assert.match(run(t, ["ls"], { env: { HOLDFAST_DEBUG: "1" } }).stderr, /\n +at /)
})

test("each family of errors has its exit code; bugs and the system's answers end with 1", () => {
  assert.equal(exitCodeOf(new HoldfastError("ERR_NOT_FOUND", "")), 3)
  assert.equal(exitCodeOf(new HoldfastError("ERR_NO_QUORUM", "")), 4)
  assert.equal(exitCodeOf(new HoldfastError("ERR_ROLLBACK", "")), 5)
  assert.equal(exitCodeOf(new HoldfastError("ERR_REFUSED", "")), 6)
  assert.equal(exitCodeOf(new HoldfastError("ERR_WRONG_PASSPHRASE", "")), 7)
  assert.equal(exitCodeOf(new TypeError("a bug")), 1)
  assert.equal(exitCodeOf("a string"), 1)
})

test("what the system answers is no bug; a bug is called one", () => {
  const shown = (error: unknown, json = false) => {
    const written: string[] = []
    const stream = { write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream
    reportError({ json, stdout: stream, stderr: stream, env: {} }, error)
    return written.join("")
  }
  const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write" })
  assert.equal(JSON.parse(shown(full, true)).error.code, "ERR_DISK_FULL")
  const denied = Object.assign(new Error("EACCES: permission denied, open 'x'"), { code: "EACCES", syscall: "open" })
  assert.doesNotMatch(shown(denied), /bug/)
  assert.match(shown(new TypeError("oops")), /holdfast: oops\nThis looks like a bug/)
  assert.equal(JSON.parse(shown(new TypeError("oops"), true)).error.code, "ERR_INTERNAL")
  const large = new HoldfastError("ERR_LIMIT", "large", { bytes: 10n })
  assert.equal(JSON.parse(shown(large, true)).error.details.bytes, "10")
})

test("options of all commands stand before or after the command, with a space or an equals sign", (t) => {
  for (const args of [
    ["--profile", "other", "ls"],
    ["ls", "--profile=other"],
    ["ls", "--profile", "other"],
  ])
    assert.match(run(t, args).stderr, /no profile "other"/, args.join(" "))
  assert.match(run(t, ["ls"], { env: { HOLDFAST_PROFILE: "third" } }).stderr, /no profile "third"/)
})

test("bash completes commands, subcommands, options and files", (t) => {
  const home = homeOf(t)
  const { stdout: script } = run(t, ["completion", "bash"])
  fs.writeFileSync(join(home, "a file.txt"), "")
  const complete = (line: string) => {
    const words = line.split(" ")
    const ask = `${script}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}; _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout, stderr } = spawnSync("bash", ["--norc", "-c", ask], { cwd: home, encoding: "utf8" })
    assert.equal(stderr, "")
    return stdout.split("\n").filter((word) => word !== "")
  }
  assert.deepEqual(complete("holdfast reb"), ["rebalance"])
  assert.deepEqual(complete("holdfast co").sort(), ["completion", "coordinator"])
  assert.ok(!complete("holdfast s").includes("supervise"))
  assert.deepEqual(complete("holdfast alias re"), ["remove"])
  assert.deepEqual(complete("holdfast put --ov"), ["--overwrite"])
  assert.ok(complete("holdfast ls --").includes("--json"))
  assert.deepEqual(complete("holdfast put a"), ["a file.txt"])
})

test("interactive bash completes holdfast as it is typed", async (t) => {
  const home = homeOf(t)
  fs.writeFileSync(join(home, "rc"), run(t, ["completion", "bash"]).stdout)
  // A terminal, so that bash reads keys: Tab completes, then the line is echoed by the shell itself.
  const shell = spawn("script", ["-qfc", `bash --rcfile ${join(home, "rc")} -i`, "/dev/null"], {
    env: { ...compiled, PATH: process.env["PATH"], HOME: home, TERM: "dumb" },
  })
  t.after(() => shell.kill("SIGKILL"))
  shell.stdin.write('holdfast() { echo "[$*]"; }\nholdfast rebal\t now\nexit\n')
  let shown = ""
  for await (const piece of shell.stdout) shown += String(piece)
  assert.match(shown, /\[rebalance now\]/)
})

test("completion scripts for zsh and fish name every command", (t) => {
  for (const shell of ["zsh", "fish"]) {
    const { stdout } = run(t, ["completion", shell])
    for (const name of ["put", "get", "lock", "doctor", "snapshot"]) assert.match(stdout, new RegExp(`\\b${name}\\b`))
    assert.doesNotMatch(stdout, /supervise/)
  }
})
