/** Names on disk that are not UTF-8, which a tree cannot hold: told so that nobody takes one for another. */

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const longestLetter = 4

/** The text that bytes say; undefined when they are not UTF-8. */
export function decodeStrictly(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return undefined
  }
}

/**
 * Bytes as text from which they follow: what is UTF-8 as it is, any other byte as `\xE4`, a backslash as `\\`. `printf '%b'` of a shell
 * gives the bytes back.
 */
export function escapedName(bytes: Uint8Array): string {
  let text = ""
  for (let at = 0; at < bytes.length; ) {
    const letter = letterAt(bytes, at)
    if (letter === "\\") text += "\\\\"
    else text += letter ?? `\\x${bytes[at]!.toString(16).padStart(2, "0").toUpperCase()}`
    at += letter === undefined ? 1 : Buffer.byteLength(letter)
  }
  return text
}

/** The letter whose bytes begin at `at`. */
function letterAt(bytes: Uint8Array, at: number): string | undefined {
  for (let length = 1; length <= longestLetter; length++) {
    const letter = decodeStrictly(bytes.subarray(at, at + length))
    if (letter !== undefined) return letter
  }
  return undefined
}
