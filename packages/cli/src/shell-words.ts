/** A command line that is being typed in a shell: its words without their quotes, and the one that the cursor stands at the end of. */

/** What stands left of the cursor. */
export interface TypedLine {
  /** The words before, without quotes. */
  readonly words: readonly string[]
  /** The word under way, without quotes. */
  readonly current: string
  /** How much of `current` stands before the piece that the shell replaces: bash takes what follows the last of its break characters. */
  readonly kept: number
  /** The quote that is open at its end, or none. */
  readonly quote: "" | "'" | '"'
}

/**
 * Reads what was typed as bash, zsh and fish read plain words: backslashes, single and double quotes. `breaks` are bash's COMP_WORDBREAKS.
 * Undefined where only the shell knows what is meant: variables, substitutions, patterns with braces, quotes that end within the word.
 */
export function parseTyped(line: string, breaks = ""): TypedLine | undefined {
  const words: string[] = []
  let [current, kept] = ["", 0]
  let isWord = false
  let wasQuoted = false
  let quote: TypedLine["quote"] = ""
  for (let i = 0; i < line.length; i++) {
    const letter = line[i]!
    const isEscaped = letter === "\\" && quote !== "'"
    if (!isEscaped && quote === "" && /[\s;|&<>()]/.test(letter)) {
      if (isWord) words.push(current)
      ;[current, kept, isWord, wasQuoted] = ["", 0, false, false]
      continue
    }
    if (quote !== "'" && !isEscaped && /[$`]/.test(letter)) return undefined
    if (letter === quote) {
      ;[quote, wasQuoted] = ["", true]
      continue
    }
    if (quote === "" && (letter === "'" || letter === '"')) {
      if (isWord && breaks !== "")
        return undefined // what of it bash replaces is not known
      ;[quote, isWord] = [letter, true]
      continue
    }
    isWord = true
    const next = line[i + 1]
    if (isEscaped && next === undefined) break // the beginning of what several words have in common
    if (isEscaped && next !== undefined && (quote === "" || /["\\$`]/.test(next))) {
      current += next
      i++
      continue
    }
    current += letter
    if (quote === "" && breaks.includes(letter)) kept = current.length
  }
  if (wasQuoted && breaks !== "") return undefined
  return { words, current, kept: quote === "" ? kept : 0, quote }
}

/**
 * `text` as bash reads it back where a quote is open, or none. Bash's own quoting of what a function offers leaves some letters as they
 * are. Undefined for what cannot be said within that quote.
 */
export function quotedForBash(text: string, quote: TypedLine["quote"]): string | undefined {
  if (quote === "'") return text.replaceAll("'", "'\\''")
  if (quote === '"') return text.includes("!") ? undefined : text.replace(/["\\$`]/g, "\\$&")
  return text.replace(/[^\p{L}\p{M}\p{N}_./:@%+,=-]/gu, "\\$&")
}
