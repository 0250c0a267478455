/**
 * Printed words: 16 random bytes and a checksum as twelve words of BIP-39's English list. They are made for paper, so
 * reading them back forgives capitals, numbers and line ends, and tells a typing error before any place is asked.
 */
import type { CryptoProvider } from "@holdfast/core"
import { HoldfastError } from "@holdfast/core"

const entropyBytes = 16
/** Shares of the words that must be on the list for a text to be meant as words. */
const mostly = 0.75

/** New words: twelve, 128 bits. */
export async function newWords(crypto: CryptoProvider): Promise<string> {
  const { entropyToMnemonic, wordlist } = await loadWords()
  return entropyToMnemonic(new Uint8Array(crypto.random(entropyBytes)), wordlist)
}

/**
 * The one form of what was typed: words in lower case with one space between, anything else as it is. No error quotes it.
 * Throws ERR_WRONG_PASSPHRASE for words with a typing error.
 */
export async function normalSecret(text: string): Promise<string> {
  const { wordlist, validateMnemonic } = await loadWords()
  const known = new Set(wordlist)
  const words = text
    .toLowerCase()
    .split(/[\s,]+/u)
    .filter((word) => word !== "" && !/^\d+[.):]?$/.test(word))
  if (words.length < 10 || words.filter((word) => known.has(word)).length < mostly * words.length) return text
  const strange = words.findIndex((word) => !known.has(word))
  if (strange >= 0) throw wrong(`word ${strange + 1} is not on the list`)
  if (!validateMnemonic(words.join(" "), wordlist))
    throw wrong(`these ${words.length} words do not belong together: one is missing, wrong, or in the wrong place`)
  return words.join(" ")
}

function wrong(why: string): HoldfastError {
  return new HoldfastError("ERR_WRONG_PASSPHRASE", `These are not the words of a recovery kit: ${why}.`)
}

async function loadWords() {
  const [{ entropyToMnemonic, validateMnemonic }, { wordlist }] = await Promise.all([
    import("@scure/bip39"),
    import("@scure/bip39/wordlists/english.js"),
  ])
  return { entropyToMnemonic, validateMnemonic, wordlist }
}
