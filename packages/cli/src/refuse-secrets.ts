/** Secrets that were typed as arguments: other users of a machine may read those of every process. */
import { HoldfastError, holdsSecret } from "@holdfast/core"

const allowing = "HOLDFAST_ALLOW_SECRETS_IN_ARGV"
/** So many words after each other, all on the list of words of recovery kits, are nothing else. */
const fewestWords = 10

/** Throws ERR_EXPOSED for arguments that look like a capability, an invitation, a key or a kit's words, unless the user allowed it. */
export async function refuseSecrets(args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  if (env[allowing] === "1") return
  const position = args.findIndex(holdsSecret)
  const instead =
    "name that: @file:FILE where a place or a capability belongs, --cap-file FILE or --invite-file FILE, with - for standard input"
  if (position >= 0) throw exposed(`Argument ${position + 1} looks like a secret`, instead, { argument: position + 1 })
  if (await holdKitWords(args))
    throw exposed("These look like the words of a recovery kit", "name that with --kit-passphrase-file FILE", {})
}

function exposed(what: string, instead: string, details: { readonly argument?: number }): HoldfastError {
  return new HoldfastError(
    "ERR_EXPOSED",
    `${what}, and other users of this machine may read the arguments of a command. Put it into a file that only you may read, and ${instead}. On a machine of your own ${allowing}=1 allows it.`,
    details,
  )
}

/** In one argument or in several. The list is loaded only for what could be words. */
async function holdKitWords(args: readonly string[]): Promise<boolean> {
  const words = args
    .join(" ")
    .toLowerCase()
    .split(/[\s,]+/u)
    .filter((word) => !/^\d*[.):]?$/.test(word))
    .map((word) => word.replace(/^(?:--?[a-z-]+=|["'(])/, "").replace(/["').]$/, ""))
  const longest = (isWord: (word: string) => boolean) => {
    let [most, run] = [0, 0]
    for (const word of words) {
      run = isWord(word) ? run + 1 : 0
      most = Math.max(most, run)
    }
    return most
  }
  if (longest((word) => /^[a-z]{3,8}$/.test(word)) < fewestWords) return false
  const { wordlist } = await import("@scure/bip39/wordlists/english.js")
  const known = new Set(wordlist)
  return longest((word) => known.has(word)) >= fewestWords
}
