/** The package for Debian: the program with a Node of its own, manual pages, completion, and units of systemd. */
import { execFileSync } from "node:child_process"
import { chmodSync, copyFileSync, mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import {
  bridge,
  closureOf,
  externals,
  type Job,
  manifestOf,
  nodeFolder,
  normalise,
  stagePackages,
  stagePages,
  stageProgram,
  writeAt,
} from "./staging.ts"
import { unitOf, users } from "./units.ts"

const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" }

/** Makes holdfast_VERSION_ARCH.deb of a job; gives its name. */
export async function makeDeb(root: string, { built, work, out, seconds }: Job) {
  const { version, description } = manifestOf(root)!
  const architecture = architectures[process.arch]!
  const home = join(work, "usr/lib/holdfast")
  stageProgram(root, built, home)
  stagePackages(closureOf(root, [...externals, ...bridge]), join(home, "node_modules"))
  copyFileSync(join(nodeFolder(root), "bin/node"), join(home, "node"))
  chmodSync(join(home, "node"), 0o755)
  writeAt(
    join(work, "usr/bin/holdfast"),
    '#!/bin/sh\nexec /usr/lib/holdfast/node /usr/lib/holdfast/bin/holdfast.mjs "$@"\n',
    0o755,
  )
  await stagePages(join(work, "usr/share/man/man1"), zipped, ".gz")
  for (const [shell, path] of Object.entries({
    bash: "usr/share/bash-completion/completions/holdfast",
    zsh: "usr/share/zsh/vendor-completions/_holdfast",
    fish: "usr/share/fish/vendor_completions.d/holdfast.fish",
  }))
    writeAt(join(work, path), execFileSync(process.execPath, [join(home, "bin/holdfast.mjs"), "completion", shell]))
  for (const part of ["node", "coordinator"] as const)
    writeAt(join(work, "usr/lib/systemd/system", `holdfast-${part}.service`), unitOf(part))
  writeAt(join(work, "usr/lib/sysusers.d/holdfast.conf"), users)
  writeAt(join(work, "usr/share/doc/holdfast/copyright"), readFileSync(join(root, "LICENSE")))
  writeAt(
    join(work, "usr/share/doc/holdfast/THIRD-PARTY-NOTICES.gz"),
    zipped(readFileSync(join(home, "THIRD-PARTY-NOTICES"), "utf8")),
  )
  writeAt(
    join(work, "usr/share/doc/holdfast/NODE-LICENSE.gz"),
    zipped(readFileSync(join(nodeFolder(root), "LICENSE"), "utf8")),
  )
  writeAt(join(work, "usr/share/doc/holdfast/changelog.gz"), zipped(readFileSync(join(root, "CHANGELOG.md"), "utf8")))
  const control = [
    ...[
      "Package: holdfast",
      `Version: ${version}`,
      `Architecture: ${architecture}`,
      "Section: net",
      "Priority: optional",
    ],
    "Maintainer: Holdfast <holdfast@holdfast.example>",
    "Depends: libc6 (>= 2.28), libstdc++6",
    `Description: ${description}`,
  ]
  writeAt(join(work, "DEBIAN/control"), `${control.join("\n")}\n`)
  mkdirSync(out, { recursive: true })
  normalise(work, seconds)
  const name = `holdfast_${version}_${architecture}.deb`
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(seconds) }
  execFileSync("dpkg-deb", ["--root-owner-group", "-Zzstd", "-z9", "--build", work, join(out, name)], {
    env,
    stdio: "ignore",
  })
  return name
}

function zipped(text: string): Uint8Array {
  return gzipSync(text, { level: 9 })
}
