/** The commands of a page of the guide, as they stand there. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as paths from "node:path"
import { command } from "./command.ts"
import { finish } from "./grid.ts"

/** Commands that stand together on a page. */
export interface Block {
  readonly code: string
  /** The word beside `sh`: where they are run. */
  readonly device: string | undefined
  /** The code with which the last command ends. */
  readonly exit: number
}

/** The blocks of commands of a page. */
export function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```sh(?: ([a-z-]+))?(?: exit=(\d+))?\n(.*?)^```$/gms)].map(([, device, exit, code]) => ({
    code: code!,
    device,
    exit: Number(exit ?? 0),
  }))
}

/** Runs commands with the shell, in the folder of a user who has `holdfast` on the PATH, or in `cwd`; gives what they print. */
export async function runBlock(
  { folder, env }: { readonly folder: string; readonly env: NodeJS.ProcessEnv },
  { code, exit }: Block,
  cwd = folder,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const bin = paths.join(folder, "bin")
  fs.mkdirSync(bin, { recursive: true })
  const wrapper = `#!/bin/sh\nexec '${process.execPath}' '${command}' "$@"\n`
  fs.writeFileSync(paths.join(bin, "holdfast"), wrapper, { mode: 0o755 })
  const child = spawn("bash", ["-euo", "pipefail", "-c", code], {
    cwd,
    env: { ...env, PATH: `${bin}:${env["PATH"]}` },
    stdio: ["pipe", "pipe", "pipe"],
  })
  const ended = await finish(child)
  assert.equal(ended.code, exit, `${code}\nended with ${ended.code}:\n${ended.stdout}\n${ended.stderr}`)
  return ended
}
