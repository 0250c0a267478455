/** Where things lie, after the XDG base directory specification. */
import { userInfo } from "node:os"
import { isAbsolute, join } from "node:path"
import { HoldfastError } from "@holdfast/core"

/** Folders of Holdfast for this user. */
export interface Paths {
  /** Profiles: keys, certificates, aliases. */
  readonly config: string
  /** The local grid and its data. */
  readonly data: string
  /** What was seen of registers. */
  readonly state: string
  /** What may be deleted at any time. */
  readonly cache: string
}

/** The folders, from the environment. */
export function pathsOf(env: NodeJS.ProcessEnv): Paths {
  const given = (variable: string) => {
    const path = env[variable]
    return path !== undefined && isAbsolute(path) ? path : undefined // the specification has others ignored
  }
  const home = given("HOME") ?? userInfo().homedir
  const folder = (variable: string, fallback: string) => join(given(variable) ?? join(home, fallback), "holdfast")
  return {
    config: folder("XDG_CONFIG_HOME", ".config"),
    data: folder("XDG_DATA_HOME", ".local/share"),
    state: folder("XDG_STATE_HOME", ".local/state"),
    cache: folder("XDG_CACHE_HOME", ".cache"),
  }
}

/** The folder of the profile `name`. Throws ERR_INVALID_ARGUMENT for a name that is not one word. */
export function profileDir(paths: Paths, name: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name))
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `"${name}" cannot name a profile: use letters, digits, dots and dashes.`,
    )
  return join(paths.config, "profiles", name)
}
