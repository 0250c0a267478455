/** What users install: each form in a clean folder, with a real put and get, and built twice with the same bytes. */
import assert from "node:assert/strict"
import { execFileSync, spawnSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as paths from "node:path"
import { after, before, test } from "node:test"
import { gunzipSync } from "node:zlib"

const root = paths.dirname(import.meta.dirname)
const isNeeded = process.env["HOLDFAST_REQUIRE_ALL"] === "1"
const hasDpkg = isNeeded || spawnSync("dpkg-deb", ["--version"]).status === 0
const isLinux = process.platform === "linux"
const executable = `-linux-${process.arch}`
/** A PATH on which there is nothing, no Node either. */
const nowhere = "/nonexistent"
let folder: string
let files: string[]

before(() => {
  folder = fs.mkdtempSync(paths.join(os.tmpdir(), "holdfast-installed-"))
  files = release("release")
})
after(() => fs.rmSync(folder, { recursive: true, force: true }))

function release(name: string): string[] {
  const out = paths.join(folder, name)
  execFileSync(process.execPath, [paths.join(root, "scripts/release.ts"), "--out", out], { cwd: root, stdio: "ignore" })
  return fs.readdirSync(out).map((file) => paths.join(out, file))
}

function fileThat(ending: string): string {
  return files.find((file) => file.endsWith(ending)) ?? assert.fail(`there is no ${ending} in ${files}`)
}

type Run = (...args: string[]) => string

/** What runs an installed command in a home of its own; where programs are looked for is `path`. */
function commandIn(home: string, command: readonly string[], path = process.env.PATH): Run {
  fs.mkdirSync(home)
  return runner(command, { HOME: home, PATH: path })
}

function runner([file = "", ...first]: readonly string[], env: NodeJS.ProcessEnv): Run {
  return (...args) => execFileSync(file, [...first, ...args], { env, encoding: "utf8", stdio: "pipe" })
}

/** A volume of three folders, a put and a get of several chunks; the command may have another name for the folder `home`. */
function storeAndFetch(run: Run, home: string, inside = home): void {
  assert.match(run("--version"), /^\d+\.\d+\.\d+\n$/)
  const places = ["a", "b", "c"].map((one) => `dir:${inside}/${one}`)
  run("volume", "create", "disks", "--coding", "2/2/3", "--backend", ...places)
  const content = randomBytes(9_000_000)
  fs.writeFileSync(`${home}/file`, content)
  run("put", `${inside}/file`, "disks:/file")
  run("get", "disks:/file", `${inside}/back`)
  assert.ok(fs.readFileSync(`${home}/back`).equals(content))
}

/** Sets an extended attribute as another program does, and finds it at what comes back. */
function keepsXattrs(run: Run, home: string): void {
  execFileSync("python3", ["-c", "import os, sys; os.setxattr(sys.argv[1], 'user.mine', b'kept')", `${home}/file`])
  run("put", `${home}/file`, "disks:/file")
  run("get", "disks:/file", `${home}/with`)
  const read = ["-c", "import os, sys; print(os.getxattr(sys.argv[1], 'user.mine').decode())", `${home}/with`]
  assert.equal(execFileSync("python3", read, { encoding: "utf8" }), "kept\n")
}

test("the package for Debian brings all that it needs, pages, units and completion", { skip: !hasDpkg }, () => {
  const to = paths.join(folder, "debian")
  execFileSync("dpkg-deb", ["-x", fileThat(".deb"), to])
  // The Node inside, and no other.
  const home = paths.join(folder, "home-debian")
  const run = commandIn(home, [`${to}/usr/lib/holdfast/node`, `${to}/usr/lib/holdfast/bin/holdfast.mjs`])
  storeAndFetch(run, home)
  if (isLinux) keepsXattrs(run, home)
  assert.match(
    gunzipSync(fs.readFileSync(`${to}/usr/share/doc/holdfast/THIRD-PARTY-NOTICES.gz`)).toString(),
    /^koffi [\d.]+ \(MIT\)$/m,
  )
  assert.match(fs.readFileSync(`${to}/usr/bin/holdfast`, "utf8"), /exec \/usr\/lib\/holdfast\/node /)
  assert.match(fs.readFileSync(`${to}/usr/share/bash-completion/completions/holdfast`, "utf8"), /complete /)
  assert.ok(fs.readdirSync(`${to}/usr/share/man/man1`).includes("holdfast-put.1.gz"))
  assert.match(gunzipSync(fs.readFileSync(`${to}/usr/share/doc/holdfast/NODE-LICENSE.gz`)).toString(), /^Node\.js is /)
  for (const part of ["node", "coordinator"])
    assert.match(
      fs.readFileSync(`${to}/usr/lib/systemd/system/holdfast-${part}.service`, "utf8"),
      RegExp(`^ExecStart=/usr/bin/holdfast ${part} run `, "m"),
    )
  const listed = execFileSync("dpkg-deb", ["-c", fileThat(".deb")], { encoding: "utf8" })
  for (const line of listed.trim().split("\n"))
    assert.match(line, /^(drwxr-xr-x|-rwxr-xr-x|-rw-r--r--) root\/root /, line)
})

test("the package for npm installs globally and runs", { timeout: 180_000 }, () => {
  const to = paths.join(folder, "npm")
  execFileSync(
    "npm",
    ["install", "--global", "--prefix", to, "--ignore-scripts", "--prefer-offline", fileThat(".tgz")],
    {
      stdio: "ignore",
    },
  )
  const home = paths.join(folder, "home-npm")
  const run = commandIn(home, [paths.join(to, "bin/holdfast")])
  storeAndFetch(run, home)
  if (isLinux) keepsXattrs(run, home)
  assert.match(fs.readFileSync(paths.join(to, "share/man/man1/holdfast.1"), "utf8"), /^\.TH "HOLDFAST"/)
})

test("the executable stores and fetches where no Node is", { skip: !isLinux }, () => {
  const file = paths.join(folder, "alone", "holdfast")
  fs.mkdirSync(paths.dirname(file))
  fs.copyFileSync(fileThat(executable), file)
  const home = paths.join(folder, "home-alone")
  const run = commandIn(home, [file], nowhere)
  storeAndFetch(run, home)
  const put = spawnSync(file, ["put", `${home}/file`, "disks:/again"], {
    env: { HOME: home, PATH: nowhere },
    encoding: "utf8",
  })
  assert.match(put.stderr, /attributes and ACLs are not kept: the single executable has no help for that/)
  assert.equal(put.status, 0)
  assert.match(run("help", "put"), /^Usage: holdfast put /)
  assert.match(run("completion", "bash"), /complete /)
  // What it is asked to take words for is not taken for Node's.
  assert.throws(() => run("--eval", "1"), /unknown option '--eval'/)
  assert.deepEqual(fs.readdirSync(paths.dirname(file)), ["holdfast"], "it puts nothing beside itself")
})

test("the executable runs a grid: each part is the executable itself", { skip: !isLinux }, () => {
  const home = paths.join(folder, "home-grid")
  const file = fileThat(executable)
  const run = commandIn(home, [file], nowhere)
  run("up", "--nodes", "3", "--coding", "2/3/3")
  try {
    const content = randomBytes(3_000_000)
    fs.writeFileSync(paths.join(home, "file"), content)
    run("put", `${home}/file`, "home:/file")
    run("get", "home:/file", `${home}/back`)
    assert.ok(fs.readFileSync(paths.join(home, "back")).equals(content))
    const { parts } = JSON.parse(run("status", "--json")).local as { parts: { name: string; pid: number }[] }
    assert.deepEqual(
      parts.map(({ name }) => name),
      ["coordinator", "n1", "n2", "n3"],
    )
    for (const { pid } of parts) assert.equal(fs.readlinkSync(`/proc/${pid}/exe`), fs.realpathSync(file))
  } finally {
    run("down")
  }
})

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

/** The bytes that a descriptor names, in an image layout. */
function blobOf(layout: string, { digest, size }: Descriptor): Buffer {
  const bytes = fs.readFileSync(paths.join(layout, "blobs", digest.replace(":", "/")))
  assert.equal(bytes.length, size)
  assert.equal(digest, digestOf(bytes))
  return bytes
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`
}

test("the image is what its digests say, and runs as a user of its own with nothing else around it", {
  skip: !hasDpkg,
}, (t) => {
  const layout = paths.join(folder, "layout")
  fs.mkdirSync(layout)
  execFileSync("tar", ["-xf", fileThat(".oci.tar"), "-C", layout])
  const read = (name: string) => JSON.parse(fs.readFileSync(paths.join(layout, name), "utf8"))
  assert.deepEqual(read("oci-layout"), { imageLayoutVersion: "1.0.0" })
  const manifest = JSON.parse(blobOf(layout, read("index.json").manifests[0]).toString("utf8"))
  const image = JSON.parse(blobOf(layout, manifest.config).toString("utf8"))
  const rootfs = paths.join(folder, "rootfs")
  fs.mkdirSync(rootfs)
  for (const [i, layer] of (manifest.layers as Descriptor[]).entries()) {
    const archive = gunzipSync(blobOf(layout, layer))
    assert.equal(digestOf(archive), image.rootfs.diff_ids[i])
    execFileSync("tar", ["-xpf", "-", "--numeric-owner", "-C", rootfs], { input: archive })
  }
  const [forDocker] = read("manifest.json")
  const blobs = [manifest.config, ...manifest.layers].map(({ digest }) => `blobs/${digest.replace(":", "/")}`)
  assert.deepEqual([forDocker.Config, ...forDocker.Layers], blobs)
  const { User, Env, Entrypoint, WorkingDir, Volumes, Labels } = image.config
  assert.deepEqual(Object.keys(Volumes), ["/var/lib/holdfast"])
  assert.match(Labels["org.opencontainers.image.version"], /^\d+\.\d+\.\d+$/)
  assert.ok(fs.readFileSync(paths.join(rootfs, Entrypoint[0])).equals(fs.readFileSync(fileThat(executable))))
  const documents = ["NODE-LICENSE", "THIRD-PARTY-NOTICES", "copyright"]
  assert.deepEqual(fs.readdirSync(paths.join(rootfs, "usr/share/doc/holdfast")).sort(), documents)
  if (process.getuid?.() !== 0) return t.skip("a root of its own needs root")
  const env = Object.fromEntries(Env.map((line: string) => line.split("=")))
  const command = ["/usr/sbin/chroot", `--userspec=${User}`, rootfs, ...Entrypoint]
  storeAndFetch(runner(command, env), `${rootfs}${WorkingDir}`, WorkingDir)
  assert.equal(`${fs.statSync(`${rootfs}${WorkingDir}/back`).uid}:65532`, User)
})

test("a second build gives the same bytes, and the checksums and the list of what is inside are right", () => {
  const umask = process.umask(0o077)
  const again = release("again")
  process.umask(umask)
  assert.deepEqual(
    again.map((file) => paths.basename(file)),
    files.map((file) => paths.basename(file)),
  )
  for (const [i, file] of files.entries())
    assert.ok(fs.readFileSync(file).equals(fs.readFileSync(again[i]!)), paths.basename(file))
  execFileSync("sha256sum", ["--check", "--strict", "SHA256SUMS"], {
    cwd: paths.join(folder, "again"),
    stdio: "ignore",
  })
  const { metadata, components } = JSON.parse(fs.readFileSync(fileThat("sbom.cdx.json"), "utf8"))
  assert.equal(metadata.component.name, "holdfast")
  const names: string[] = components.map(({ name }: { name: string }) => name)
  for (const name of ["valibot", "hash-wasm", "commander", "reflect-metadata", `node-linux-${process.arch}`])
    assert.ok(names.includes(name), name)
  if (hasDpkg) for (const name of ["libc6", "libstdc++6"]) assert.ok(names.includes(name), name)
  assert.ok(!names.includes("typescript"))
})
