/**
 * The image for containers, as an archive of an OCI image layout (https://specs.opencontainers.org/image-spec/): the executable, and of
 * Debian what that is linked with. `manifest.json` beside the layout is for `docker load` before version 25.
 */
import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import type { DebianFiles } from "./debian-files.ts"
import { type Job, manifestOf, nodeFolder, stageProgram } from "./staging.ts"
import { type TarEntry, tarOf } from "./tar.ts"

const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" }
const home = "/var/lib/holdfast"
/** Nobody on the machines that run it, as in other images without a shell. */
const userId = 65532
const mediaTypes = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
}

interface Layer {
  readonly packed: Uint8Array
  /** SHA-256 of the archive before it was packed. */
  readonly diffId: string
  readonly what: string
}

/** What goes into the image: the name of the executable in the job's `out`, and what that is linked with. */
export interface ImageContent {
  readonly executable: string
  readonly system: DebianFiles
}

/** Makes holdfast-VERSION.oci.tar of a job; gives its name. */
export function makeImage(root: string, job: Job, { executable, system }: ImageContent): string {
  const { built, work, out, seconds } = job
  const { version, description, license } = manifestOf(root)!
  stageProgram(root, built, work)
  const file = join(out, executable)
  const layers = [
    layerOf("what the executable needs of Debian", [...systemFiles(), ...debianEntries(system)], seconds),
    layerOf("the executable", [program(file), ...licences(root, work)], seconds),
  ]
  const config = json({
    created: timeOf(seconds),
    architecture: architectures[process.arch],
    os: "linux",
    config: {
      User: `${userId}:${userId}`,
      Env: ["PATH=/usr/bin", `HOME=${home}`],
      Entrypoint: ["/usr/bin/holdfast"],
      Cmd: ["help"],
      Volumes: { [home]: {} },
      WorkingDir: home,
      Labels: labelsOf({ version, description: description!, license: license!, seconds }),
    },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ what }) => ({ created: timeOf(seconds), created_by: "scripts/release.ts", comment: what })),
  })
  const name = `holdfast-${version}.oci.tar`
  writeFileSync(join(out, name), tarOf(layoutOf(`holdfast:${version}`, config, layers), seconds))
  return name
}

/** The files of the layout: blobs by their digests, and what names them. */
function layoutOf(tag: string, config: Uint8Array, layers: readonly Layer[]): TarEntry[] {
  const described = (mediaType: string, bytes: Uint8Array) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  })
  const manifest = json({
    schemaVersion: 2,
    mediaType: mediaTypes.manifest,
    config: described(mediaTypes.config, config),
    layers: layers.map(({ packed }) => described(mediaTypes.layer, packed)),
  })
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.index,
    manifests: [
      {
        ...described(mediaTypes.manifest, manifest),
        platform: { architecture: architectures[process.arch], os: "linux" },
        // With the name of the image, from which Podman makes its own.
        annotations: { "org.opencontainers.image.ref.name": tag },
      },
    ],
  }
  const forDocker = {
    Config: blobPath(config),
    RepoTags: [tag],
    Layers: layers.map(({ packed }) => blobPath(packed)),
  }
  return [
    { path: "oci-layout", file: json({ imageLayoutVersion: "1.0.0" }) },
    { path: "index.json", file: json(index) },
    { path: "manifest.json", file: json([forDocker]) },
    ...[manifest, config, ...layers.map(({ packed }) => packed)].map((file) => ({ path: blobPath(file), file })),
  ]
}

function layerOf(what: string, entries: readonly TarEntry[], seconds: number): Layer {
  const archive = tarOf(entries, seconds)
  return { packed: gzipSync(archive), diffId: digestOf(archive), what }
}

/** A root without a shell: a user of its own, its folder, a place for temporary files, and how names are looked up. */
function systemFiles(): TarEntry[] {
  const text = (path: string, content: string): TarEntry => ({ path, file: Buffer.from(content) })
  return [
    text(
      "etc/passwd",
      `root:x:0:0:root:/root:/sbin/nologin\nholdfast:x:${userId}:${userId}:Holdfast:${home}:/sbin/nologin\n`,
    ),
    text("etc/group", `root:x:0:\nholdfast:x:${userId}:\n`),
    text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    { path: "lib", link: "usr/lib" },
    { path: "lib64", link: "usr/lib64" },
    { path: "tmp", mode: 0o1777 },
    { path: home.slice(1), owner: userId, mode: 0o700 },
  ]
}

/** Libraries, their licences, and, where scanners of images look, what packages they are of. */
function debianEntries({ libraries, packages }: DebianFiles): TarEntry[] {
  return [
    ...libraries.map(({ path, source }) => ({ path: path.slice(1), file: readFileSync(source), mode: 0o755 })),
    ...packages.flatMap(({ name, status, copyright }) => [
      { path: `var/lib/dpkg/status.d/${name}`, file: Buffer.from(status) },
      { path: `usr/share/doc/${name}/copyright`, file: copyright },
    ]),
  ]
}

function program(file: string): TarEntry {
  return { path: "usr/bin/holdfast", file: readFileSync(file), mode: 0o755 }
}

function licences(root: string, staged: string): TarEntry[] {
  const sources = {
    copyright: join(staged, "LICENSE"),
    "THIRD-PARTY-NOTICES": join(staged, "THIRD-PARTY-NOTICES"),
    "NODE-LICENSE": join(nodeFolder(root), "LICENSE"),
  }
  return Object.entries(sources).map(([name, source]) => ({
    path: `usr/share/doc/holdfast/${name}`,
    file: readFileSync(source),
  }))
}

function labelsOf(about: {
  readonly version: string
  readonly description: string
  readonly license: string
  readonly seconds: number
}): Record<string, string> {
  const name = (word: string) => `org.opencontainers.image.${word}`
  return {
    [name("title")]: "holdfast",
    [name("description")]: about.description,
    [name("version")]: about.version,
    [name("licenses")]: about.license,
    [name("created")]: timeOf(about.seconds),
  }
}

function timeOf(seconds: number): string {
  return new Date(1000 * seconds).toISOString()
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`
}

function blobPath(bytes: Uint8Array): string {
  return `blobs/${digestOf(bytes).replace(":", "/")}`
}
