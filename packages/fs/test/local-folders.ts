/** What tests of transfers begin with. */
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import type { Problem } from "../src/node/problem.ts"
import { createWorld } from "./world.ts"

/** A folder to store from, a place to fetch to, and an empty tree. */
export async function setUp(t: { after(done: () => void): void }) {
  const base = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-transfer-"))
  t.after(() => fs.rmSync(base, { recursive: true, force: true }))
  fs.mkdirSync(`${base}/from`)
  const problems: Problem[] = []
  const options = { onProblem: (problem: Problem) => void problems.push(problem) }
  const { home } = await createWorld()
  return { from: `${base}/from`, to: `${base}/to`, base, problems, options, home }
}

/** Every path below `root` with all that must survive. */
export function fingerprint(root: string): Map<string, string> {
  const lines = new Map<string, string>()
  for (const name of fs.readdirSync(root, { recursive: true, encoding: "utf8" })) {
    const stat = fs.lstatSync(`${root}/${name}`)
    const content = stat.isSymbolicLink()
      ? fs.readlinkSync(`${root}/${name}`)
      : stat.isFile()
        ? createHash("sha256")
            .update(fs.readFileSync(`${root}/${name}`))
            .digest("hex")
        : "directory"
    lines.set(name, `${(stat.mode & 0o777).toString(8)} ${Math.round(stat.mtimeMs * 100)} ${content}`)
  }
  return lines
}

/** Files, folders and links of all kinds. */
export function fill(root: string): void {
  fs.mkdirSync(`${root}/d/e`, { recursive: true })
  fs.mkdirSync(`${root}/empty`, { mode: 0o700 })
  for (let i = 0; i < 300; i++) fs.writeFileSync(`${root}/d/${i}`, `file ${i}`)
  fs.writeFileSync(`${root}/d/e/large`, Buffer.alloc(3_000_000, 7))
  fs.writeFileSync(`${root}/d/e/none`, "")
  fs.writeFileSync(`${root}/e\u0301 ü\n`, "odd name")
  fs.symlinkSync("../nowhere", `${root}/link`)
  fs.chmodSync(`${root}/d/1`, 0o750)
  fs.utimesSync(`${root}/d/1`, 1e9, 1e9 + 0.123456)
  fs.utimesSync(`${root}/d`, 1e9, 1e9)
  fs.chmodSync(`${root}/d/e`, 0o555)
}
