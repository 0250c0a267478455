/**
 * How long a passphrase of one's own stands against who can guess at it offline: f+1 places together can, and each guess
 * costs them one argon2id. The estimate knows common passwords, patterns and keyboards, not the person who chose it.
 */
import { HoldfastError } from "@holdfast/core"

/** 10^12 guesses: a thousand a second, which takes some 100 GB of memory, need thirty years for them. */
const leastLog10 = 12
/** Longer is never weaker, and estimating would take long. */
const estimatedCharacters = 100

/** Throws ERR_INVALID_ARGUMENT for a passphrase that can be guessed, saying how easily. */
export async function refuseWeak(passphrase: string): Promise<void> {
  const [{ ZxcvbnFactory }, { dictionary, adjacencyGraphs }] = await Promise.all([
    import("@zxcvbn-ts/core"),
    import("@zxcvbn-ts/language-common"),
  ])
  const estimator = new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs })
  const log10 = estimator.check(passphrase.slice(0, estimatedCharacters)).guessesLog10
  if (log10 >= leastLog10) return
  throw new HoldfastError(
    "ERR_INVALID_ARGUMENT",
    `This passphrase is too weak for a recovery kit: about 10^${Math.floor(log10)} guesses find it, and at least 10^${leastLog10} are asked for. Take several words without a connection, or leave the choice to holdfast: without --passphrase it makes twelve words.`,
    { log10: Math.floor(log10), least: leastLog10 },
  )
}
