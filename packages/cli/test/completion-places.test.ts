/** Shells complete aliases and names in trees, whoever chose the names. Real shells, the real program, a volume of directories. */
import assert from "node:assert/strict"
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, type TestContext, test } from "node:test"
import { command, compiled } from "../../../e2e/command.ts"
import { parseTyped } from "../src/shell-words.ts"

let home: string
let env: NodeJS.ProcessEnv

const hostile = [
  "h1 $(touch pwned) $HOME",
  "h2`touch pwned`",
  "h3;touch pwned",
  "h4'\"\\ !*?[x]{a,b}~#&|<>",
  "h5 two  spaces",
  "h6=a@b",
  "h7:c",
  "h8äß漢",
]
const unseen = ["n1\ntouch pwned", "n2\u001b[2J", "n3\u202e"]

before(() => {
  home = fs.mkdtempSync(join(tmpdir(), "holdfast-completion-"))
  env = { ...compiled, PATH: process.env["PATH"], HOME: home, LANG: "C.UTF-8", LC_ALL: "C.UTF-8", TERM: "dumb" }
  env["HOLDFAST_COMPLETE_PLACES_WAIT"] = "60000" // a machine may be busy with other tests
  run("volume", "create", "disks", "--coding", "1/1/1", "--backend", `dir:${home}/disk`)
  const folder = join(home, "folder")
  for (const path of [
    "docs/old/letter",
    "docs/one",
    "docs/.hidden",
    "data",
    ...[...hostile, ...unseen].map((name) => `evil/${name}`),
  ]) {
    fs.mkdirSync(join(folder, path, ".."), { recursive: true })
    fs.writeFileSync(join(folder, path), "")
  }
  run("put", `${folder}/`, "disks:")
  run("snapshot", "create", "disks:", "friday")
  for (const shell of ["bash", "zsh", "fish"]) fs.writeFileSync(join(home, `script.${shell}`), run("completion", shell))
  fs.mkdirSync(join(home, "bin"))
  fs.writeFileSync(
    join(home, "bin/holdfast"),
    `#!/bin/sh\nif [ "$1" = complete-places ]; then exec '${process.execPath}' '${command}' "$@"; fi\nfor word; do printf '[%s]' "$word" >>'${home}/typed'; done\necho >>'${home}/typed'\n`,
    { mode: 0o755 },
  )
  env["PATH"] = `${join(home, "bin")}:${env["PATH"]}`
})
after(() => fs.rmSync(home, { recursive: true, force: true }))

function run(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], {
    env,
    cwd: home,
    encoding: "utf8",
  })
  assert.equal(status, 0, stderr)
  return stdout
}

/** What the hidden command answers. */
function places(line: string, { moreEnv = {} } = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, "complete-places"], {
    env: { ...env, ...moreEnv },
    cwd: home,
    input: line,
    encoding: "utf8",
  })
  assert.equal(stderr, "")
  return { isPlace: status === 0, words: stdout.split("\n").slice(0, -1) }
}

/** What bash offers for a line, as its completion function is called. */
function bashOffers(line: string): string[] {
  const words = line.split(/(?<=:)|(?=:)| /)
  const ask = [
    `source '${home}/script.bash'`,
    `COMP_LINE='${line}' COMP_POINT=${line.length}`,
    `COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}`,
    `_holdfast; [ "\${#COMPREPLY[@]}" -eq 0 ] || printf '%s\\n' "\${COMPREPLY[@]}"`,
  ]
  const { stdout, stderr } = spawnSync("bash", ["--norc", "-c", ask.join("\n")], { cwd: home, env, encoding: "utf8" })
  assert.equal(stderr, "")
  return stdout.split("\n").slice(0, -1).sort()
}

test("aliases and names are offered, directories with a slash, hidden names only when asked for", () => {
  assert.deepEqual(places("holdfast ls di"), { isPlace: false, words: ["disks:"] })
  assert.deepEqual(places("holdfast ls disks:"), { isPlace: true, words: ["disks:data", "disks:docs/", "disks:evil/"] })
  assert.deepEqual(places("holdfast ls disks:/do").words, ["disks:/docs/"])
  assert.deepEqual(places("holdfast ls disks:docs/o").words.sort(), ["disks:docs/old/", "disks:docs/one"])
  assert.deepEqual(places("holdfast ls disks:docs/.").words, ["disks:docs/.hidden"])
  assert.deepEqual(places("holdfast ls disks:docs@friday/ol").words, ["disks:docs@friday/old/"])
  assert.deepEqual(places("holdfast ls disks:nowhere/x"), { isPlace: true, words: [] })
  assert.deepEqual(places("holdfast ls nobody:x"), { isPlace: true, words: [] })
  assert.deepEqual(places("holdfast ls /etc/pass"), { isPlace: false, words: [] })
  assert.deepEqual(places("holdfast --profile other ls di").words, [])
  assert.deepEqual(places("holdfast ls di", { moreEnv: { HOME: "/nowhere" } }).words, [])
})

test("who presses Tab does not wait for servers without end", () => {
  const moreEnv = { HOLDFAST_COMPLETE_PLACES_WAIT: "0" }
  assert.deepEqual(places("holdfast ls disks:do", { moreEnv }), { isPlace: true, words: [] })
})

test("names that a terminal would not show as they are are not offered", () => {
  assert.deepEqual(places("holdfast ls disks:evil/n").words, [])
  assert.equal(places("holdfast ls disks:evil/").words.length, hostile.length)
})

test("a locked profile is not opened: nothing asks for its passphrase, nor runs a command that knows it", (t) => {
  fs.writeFileSync(join(home, "pass"), "correct horse", { mode: 0o600 })
  run("lock", "--passphrase-file", join(home, "pass"))
  t.after(() => run("unlock", "--passphrase-file", join(home, "pass")))
  const moreEnv = { HOLDFAST_PASSPHRASE_COMMAND: `touch ${home}/asked; cat ${home}/pass` }
  assert.deepEqual(places("holdfast ls disks:do", { moreEnv }), { isPlace: true, words: [] })
  assert.ok(!fs.existsSync(join(home, "asked")))
})

test("bash offers places where there is a colon, and local files elsewhere", () => {
  fs.writeFileSync(join(home, "disk drive"), "")
  fs.mkdirSync(join(home, "docs"), { recursive: true })
  assert.deepEqual(bashOffers("holdfast ls disks:/d"), ["/data", "/docs/"])
  assert.deepEqual(bashOffers("holdfast ls disks:do"), ["docs/"])
  assert.deepEqual(bashOffers("holdfast ls disks:/etc"), [])
  assert.deepEqual(bashOffers("holdfast put dis"), ["disk", "disk drive", "disks:"])
})

/** Types into a shell on a terminal; gives the arguments that the command then got. */
async function typed(t: TestContext, shell: readonly string[], keys: readonly string[]): Promise<string[]> {
  fs.rmSync(join(home, "typed"), { force: true })
  const line = shell.map((word) => `'${word}'`).join(" ")
  const terminal = spawn("script", ["-qfec", `cd '${home}' && ${line}`, "/dev/null"], {
    env,
    stdio: ["pipe", "pipe", "ignore"],
  })
  t.after(() => terminal.kill("SIGKILL"))
  let screen = ""
  terminal.stdout.setEncoding("utf8")
  terminal.stdout.on("data", (piece: string) => {
    screen += piece
  })
  const lines = () =>
    fs.existsSync(join(home, "typed")) ? fs.readFileSync(join(home, "typed"), "utf8").split("\n").slice(0, -1) : []
  const until = async (what: string, isSo: () => boolean) => {
    for (let tries = 0; !isSo(); tries++) {
      assert.ok(tries < 600, `${what}: ${screen}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  await until("no prompt", () => screen.includes("ready>"))
  for (const [i, key] of keys.entries()) {
    terminal.stdin.write(`${key}\t`)
    // What the shell completes it shows; then the line is run.
    await new Promise((resolve) => setTimeout(resolve, 50))
    terminal.stdin.write("\r")
    await until(`line ${i + 1} did not run`, () => lines().length > i)
  }
  terminal.stdin.end("exit\r")
  return lines()
}

const isThere = (program: string) => spawnSync("which", [program]).status === 0

test("interactive bash quotes hostile names, and runs nothing of them", async (t) => {
  fs.writeFileSync(join(home, "rc"), `PS1='ready> '; source '${home}/script.bash'\n`)
  const keys = hostile.map((name) => `holdfast cat disks:/evil/${name.slice(0, 2)}`)
  const lines = await typed(t, ["bash", "--rcfile", join(home, "rc"), "-i"], keys)
  assert.deepEqual(
    lines,
    hostile.map((name) => `[cat][disks:/evil/${name}]`),
  )
  const quoted = await typed(
    t,
    ["bash", "--rcfile", join(home, "rc"), "-i"],
    [
      'holdfast cat "disks:/evil/h1',
      "holdfast cat 'disks:/evil/h5",
      "holdfast cat disks:/evil/h6=",
      "holdfast cat disks:/evil/h5\\ t",
    ],
  )
  assert.deepEqual(
    quoted,
    [hostile[0], hostile[4], hostile[5], hostile[4]].map((name) => `[cat][disks:/evil/${name}]`),
  )
  assert.ok(!fs.existsSync(join(home, "pwned")))
})

for (const [shell, args] of [
  ["zsh", ["-d", "-i"]],
  ["fish", ["-i"]],
] as const)
  test(`interactive ${shell} completes names, quotes hostile ones, and runs nothing of them`, async (t) => {
    if (!isThere(shell)) {
      assert.ok(!process.env["HOLDFAST_REQUIRE_ALL"], `${shell} is not installed`)
      return t.skip(`${shell} is not installed`)
    }
    fs.writeFileSync(
      join(home, ".zshrc"),
      `PS1='ready> '; setopt no_beep; autoload -Uz compinit && compinit -u -D; source '${home}/script.zsh'\n`,
    )
    fs.mkdirSync(join(home, ".config/fish/completions"), { recursive: true })
    fs.writeFileSync(
      join(home, ".config/fish/config.fish"),
      "function fish_prompt; echo 'ready> '; end\nset -g fish_greeting\n",
    )
    fs.copyFileSync(join(home, "script.fish"), join(home, ".config/fish/completions/holdfast.fish"))
    const some = hostile.filter((name) => /^h[148]/.test(name)) // each line takes a second
    const names = [...some.map((name) => `evil/${name}`), "docs/old/letter"]
    const keys = [...some.map((name) => `evil/${name.slice(0, 2)}`), "docs/old/le"].map(
      (name) => `holdfast cat disks:/${name}`,
    )
    const lines = await typed(t, [shell, ...args], keys)
    assert.deepEqual(
      lines,
      names.map((name) => `[cat][disks:/${name}]`),
    )
    assert.ok(!fs.existsSync(join(home, "pwned")))
  })

test("a typed line is read as shells read plain words, and what only they know is left to them", () => {
  const breaks = " \t\n\"'><=;|&(:"
  const cases: [line: string, current: string, kept: number][] = [
    ["holdfast ls home:/a", "home:/a", 5],
    ["holdfast ls home:/a\\ b", "home:/a b", 5],
    ["holdfast ls home:/a\\:b", "home:/a:b", 5],
    ["holdfast ls home:/a=b", "home:/a=b", 8],
    ['holdfast ls "home:/a b', "home:/a b", 0],
    ["holdfast ls 'home:/a$(x)", "home:/a$(x)", 0],
    ["x; holdfast ls h", "h", 0],
    ["holdfast ls home:/a\\", "home:/a", 5],
    ["holdfast ls ", "", 0],
  ]
  for (const [line, current, kept] of cases) {
    const parsed = parseTyped(line, breaks)
    assert.equal(parsed?.current, current, line)
    assert.equal(parsed?.kept, kept, line)
  }
  for (const line of ["holdfast ls $HOME", "holdfast ls home:/`x", 'holdfast ls "home:/$x', 'holdfast ls "home:/a"b'])
    assert.equal(parseTyped(line, breaks), undefined, line)
  assert.deepEqual(parseTyped("holdfast --profile 'my one' ls x")?.words, ["holdfast", "--profile", "my one", "ls"])
  assert.equal(parseTyped('holdfast ls home:"a b"/c')?.current, "home:a b/c")
})
