/**
 * Text on its way to people. Whatever wrote it (a server, another member, a file's name, an argument), here it loses what
 * could drive a terminal, and what must never be shown: capabilities, invitations, keys.
 */

// What drives a terminal, ends a line, turns the direction of text, or is not seen at all.
const unsafeLetters = String.raw`\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Default_Ignorable_Code_Point}\ufff9-\ufffb`
/** Marks beyond those that any writing stacks on one letter: a terminal draws them over the lines beside it. */
const stacked = String.raw`(?<=\p{M}{8})\p{M}`
const unsafe = new RegExp(`[${unsafeLetters}]|${stacked}`, "gu")
const anyUnsafe = new RegExp(unsafe, "u")
/** Those of them that JSON lets through as they are. */
const unsafeInJson = new RegExp(`(?![\\u0000-\\u001f])[${unsafeLetters}]|${stacked}`, "gu")
/** What may break a secret into pieces without being seen: a terminal's own sequences first. */
const invisible = new RegExp(`\\u001b\\[[0-?]*[ -/]*[@-~]|(?![\\t\\n\\r])[${unsafeLetters}]`, "gu")
// Joiners belong between the letters of scripts that have them, and between emoji; a selector follows what it selects.
const joined = new RegExp(
  String.raw`^(?![${unsafeLetters}]|\p{Script=Latin}|\p{Script=Greek}|\p{Script=Cyrillic})[\p{L}\p{M}\p{Emoji_Modifier}\p{Extended_Pictographic}]`,
  "u",
)
const selected = /^(?![0-9#*])[\p{Emoji}\p{Script=Han}]/u

const hidden = "[hidden]"
/** A colon as it is, in a URL, in JSON, in a page. */
const colon = String.raw`(?::|%(?:25)*3a|\\u003a|\\x3a|&#(?:58|x3a);)`
const kind = "(?:dw|dr|dv|fw|fr|fv|ci|cv|lit)"
/** To the end, with further lines of one that was wrapped. */
const rest = String.raw`[^\s"'<>(){}\[\],;|/]*(?:\s+[a-z2-7]{20}[^\s"'<>(){}\[\],;|/]*)*`
/** Letters as chance has them, in which a digit comes soon, or too many for a name: an alias may be called as a kind is. */
const random = "(?:(?=[a-z]{0,19}[2-7])[a-z2-7]{20}|[a-z2-7]{48})"
/** Beside something that was hidden: the rest of it, which mail has wrapped and quoted. */
const furtherPiece = /(?<![a-z0-9])(?=[a-z]{0,15}[2-7])[a-z2-7]{16,}/gi
const quote = String.raw`[\s"'\\]{0,2}`
/** Without the kind, as a double click on a capability takes it: what writes has 58 letters, what reads and is no literal over 100. */
const alone = String.raw`(?<![a-z0-9])(?=[a-z]{0,19}[2-7])(?:[a-z2-7]{58}|[a-z2-7]{100,2048})(?![a-z0-9])`

const longestNote = 10_000
/** So many lines are looked at together: one that is not plain costs no more than these. */
const lookedAtOnce = 64
/** No capability has more letters. */
const longestSecret = 2048

// Each is bounded or begins with something fixed: what servers say must not cost much to look through.
const secrets: readonly (readonly [pattern: RegExp, shown: string])[] = [
  [new RegExp(`(hf${colon}${quote}${kind}${colon}${quote})[a-z0-9%_-]${rest}`, "gi"), `$1${hidden}`],
  // A kind that is mistyped, or the beginning left out.
  [new RegExp(`(hf${colon}[a-z]{0,5}${colon}?)[a-z2-7%_-]{20}${rest}`, "gi"), `$1${hidden}`],
  [new RegExp(`(?<![a-z0-9])(${kind}${colon})${random}${rest}`, "gi"), `$1${hidden}`],
  [new RegExp(alone, "gi"), hidden],
  [new RegExp(`(hf-invite${colon}${quote})[a-z0-9%_-]${rest}`, "gi"), `$1${hidden}`],
  [/-----BEGIN [^-]*PRIVATE KEY-----[\s\S]*?(?:-----END [^-]*-----|$)/g, hidden],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g, hidden],
  [/((?:secret_?access_?key|session_?token)["']?\s*[=:]\s*["']?)[A-Za-z0-9/+=]{8,}/gi, `$1${hidden}`],
  [/([?&](?:secret|password|token|signature|x-amz-[a-z-]+)=)[^&\s"']+/gi, `$1${hidden}`],
  [/(--[a-z-]{0,32}(?:passphrase|password|secret|token)=)[^\s"']+/gi, `$1${hidden}`],
  [/(:\/\/)[^\s/@"':]{1,128}:(?!\d+(?:\/|$))[^\s@"']{1,256}@/g, `$1${hidden}@`],
]

/** Something of this is in all of them; most text has none, and there is much of it. */
const suspicious =
  /hf|[irtvw][:%\\&]|[a-z2-7]{58}|PRIVATE KEY|AKIA|ASIA|access|session|secret|password|token|signature|x-amz|passphrase|:\/\//i

/** `text` with control characters, line ends, text-direction marks and what cannot be seen made visible, for a terminal. */
export function printable(text: string): string {
  return text.replace(unsafe, (letter, at: number) => (isAtHome(text, letter, at) ? letter : escapeOf(letter)))
}

function escapeOf(letter: string): string {
  const hex = letter.codePointAt(0)!.toString(16)
  if (hex.length <= 2) return `\\x${hex.padStart(2, "0")}`
  return hex.length <= 4 ? `\\u${hex.padStart(4, "0")}` : `\\u{${hex}}`
}

/** True for a joiner or a selector where writing has it. */
function isAtHome(text: string, letter: string, at: number): boolean {
  if (isSelector(letter)) return isSelecting(text, at)
  if (letter !== "\u200c" && letter !== "\u200d") return false
  const end = isSelector(text[at - 1]) && isSelecting(text, at - 1) ? at - 1 : at
  return joined.test(letterBefore(text, end)) && joined.test(text.slice(at + 1, at + 3))
}

function isSelector(letter: string | undefined): boolean {
  return letter === "\ufe0e" || letter === "\ufe0f"
}

function isSelecting(text: string, at: number): boolean {
  const before = letterBefore(text, at)
  return selected.test(before) || (text[at + 1] === "\u20e3" && /[0-9#*]/.test(before))
}

function letterBefore(text: string, at: number): string {
  return [...text.slice(Math.max(0, at - 2), at)].at(-1) ?? ""
}

/**
 * `text` with `[hidden]` for what looks like a capability, an invitation, a private key or a key of a bucket. Where letters that
 * cannot be seen stand in one, they go too.
 */
export function redacted(text: string): string {
  const bare = text.replace(invisible, "")
  const shown = hide(bare)
  return shown === bare ? text : shown
}

function hide(text: string): string {
  if (!suspicious.test(text)) return text
  const shown = secrets.reduce((shown, [pattern, instead]) => shown.replace(pattern, instead), text)
  return shown === text ? text : shown.replace(furtherPiece, hidden)
}

/** The beginning of `text` for a message, without secrets: of one that is cut the rest would not be known as such. */
export function excerpt(text: string, mostLetters: number): string {
  return redacted(text.slice(0, mostLetters + longestSecret)).slice(0, mostLetters)
}

/** True when `redacted` would hide something. */
export function holdsSecret(text: string): boolean {
  return redacted(text) !== text
}

/** `text` as one line for people. */
export function shownLine(text: string): string {
  return printable(redacted(text))
}

/** Each of many texts as `shownLine` gives it, faster: where one look at several finds nothing to hide, they are as they were. */
export function shownEach(texts: readonly string[]): readonly string[] {
  const shown: string[] = []
  for (let i = 0; i < texts.length; i += lookedAtOnce) {
    const several = texts.slice(i, i + lookedAtOnce)
    const together = several.join(" ") // what is found in one of them is found in all
    const isPlain = !anyUnsafe.test(together) && !suspicious.test(together)
    for (const text of several) shown.push(isPlain ? text : shownLine(text))
  }
  return shown
}

/** `text` as one line for people that does not fill their screen, where nobody asked for what a server or a file says at length. */
export function shownNote(text: string): string {
  const line = shownLine(text)
  if (line.length <= longestNote) return line
  return `${line.slice(0, longestNote)}… (${line.length - longestNote} letters more)`
}

/** Text whose line ends are the program's own, for people: the help of a command. */
export function shownLines(text: string): string {
  return text.split("\n").map(shownLine).join("\n")
}

/** Every text in `value`, however deep, without secrets. */
export function redactedValue(value: unknown): unknown {
  if (typeof value === "string") return redacted(value)
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(redactedValue)
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [redacted(name), redactedValue(item)]))
}

/** JSON that says exactly `value` and yet may be looked at in a terminal. */
export function shownJson(value: unknown, space?: number): string {
  const text = JSON.stringify(value, (_, item) => (typeof item === "bigint" ? item.toString() : item), space)
  return text.replace(unsafeInJson, (letter, at: number) => (isAtHome(text, letter, at) ? letter : unitsOf(letter)))
}

function unitsOf(letter: string): string {
  return letter
    .split("")
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("")
}
