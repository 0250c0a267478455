import assert from "node:assert/strict"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { test } from "node:test"
import { isHoldfastError } from "@holdfast/core"
import { credentialName, passphraseSource, readFrom } from "../src/passphrase-source.ts"

function folderOf(t: { after(done: () => void): void }): string {
  const folder = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-passphrase-"))
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}

test("a file counts before a command, and both before a credential of systemd", (t) => {
  const folder = folderOf(t)
  const env = { CREDENTIALS_DIRECTORY: folder }
  assert.equal(passphraseSource(undefined, undefined, env), undefined, "there is no such credential")
  fs.writeFileSync(`${folder}/${credentialName}`, " of systemd \nmore", { mode: 0o440 })
  const credential = passphraseSource(undefined, undefined, env)
  assert.equal(readFrom(credential!), " of systemd ")
  const command = passphraseSource(undefined, "printf '%s\\n' \"$HOLDFAST_TEST_WORD\"", env)
  process.env["HOLDFAST_TEST_WORD"] = "from a command "
  assert.equal(readFrom(command!), "from a command ")
  fs.writeFileSync(`${folder}/file`, "\ufefffrom a file\r\n", { mode: 0o600 })
  assert.equal(readFrom(passphraseSource(`${folder}/file`, "exit 1", env)!), "from a file")
  fs.chmodSync(`${folder}/file`, 0o644)
  assert.throws(() => readFrom({ kind: "file", file: `${folder}/file` }), { code: "ERR_EXPOSED" })
})

test("a command that fails gives nothing, and is not repeated in the message", () => {
  for (const command of ["echo secretword; exit 3", "kill -9 $$ # secretword", "yes secretword | head -c 1000000"])
    assert.throws(
      () => readFrom({ kind: "command", command }),
      (error) => isHoldfastError(error, "ERR_INVALID_ARGUMENT") && !error.message.includes("secretword"),
    )
})

test("a command is not among the arguments of the shell that runs it, nor in what the command is given", (t) => {
  if (process.platform !== "linux") return t.skip("there is no /proc")
  const typed = (command: string) => readFrom({ kind: "command", command })
  const look = (place: string) => `tr '\\0' ' ' < /proc/$$/${place} # hunter2`
  assert.match(typed(look("cmdline")), /^\/bin\/sh -c /)
  assert.doesNotMatch(typed(look("cmdline")), /hunter2/)
  assert.equal(typed("# hunter2\nenv | grep -c hunter2; true"), "0")
  assert.equal(typed("a='x  y'\necho \"$a\" # more"), "x  y")
})
