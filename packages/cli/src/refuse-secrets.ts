/** Secrets that were typed as arguments: other users of a machine may read those of every process. */
import { HoldfastError, holdsSecret } from "@holdfast/core"

const allowing = "HOLDFAST_ALLOW_SECRETS_IN_ARGV"

/** Throws ERR_EXPOSED for an argument that looks like a capability, an invitation or a key, unless the user allowed it. */
export function refuseSecrets(args: readonly string[], env: NodeJS.ProcessEnv): void {
  if (env[allowing] === "1") return
  const position = args.findIndex(holdsSecret)
  if (position < 0) return
  throw new HoldfastError(
    "ERR_EXPOSED",
    `Argument ${position + 1} looks like a secret, and other users of this machine may read the arguments of a command. Put it into a file that only you may read, and name that: @file:FILE where a place or a capability belongs, --cap-file FILE or --invite-file FILE, with - for standard input. On a machine of your own ${allowing}=1 allows it.`,
    { argument: position + 1 },
  )
}
