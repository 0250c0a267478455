/**
 * Text on its way to people. Whatever wrote it (a server, another member, a file's name, an argument), here it loses what
 * could drive a terminal, and what must never be shown: capabilities, invitations, keys.
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are exactly what must not reach a terminal
const unsafe = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb]/g
/** Those of them that JSON lets through as they are. */
const unsafeInJson = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb]/g

const hidden = "[hidden]"
/** A colon as it is, in a URL, in JSON, in a page. */
const colon = String.raw`(?::|%(?:25)*3a|\\u003a|\\x3a|&#(?:58|x3a);)`
const kind = "(?:dw|dr|dv|fw|fr|fv|ci|cv|lit)"
const rest = String.raw`[^\s"'<>(){}\[\],;|/]*`
const quote = String.raw`[\s"'\\]{0,2}`

// Each is bounded or begins with something fixed: what servers say must not cost much to look through.
const secrets: readonly (readonly [pattern: RegExp, shown: string])[] = [
  [new RegExp(`(hf${colon}${quote}${kind}${colon}${quote})[a-z0-9%_-]${rest}`, "gi"), `$1${hidden}`],
  // A kind that is mistyped, or the beginning left out.
  [new RegExp(`(hf${colon}[a-z]{0,5}${colon}?)[a-z2-7%_-]{20}${rest}`, "gi"), `$1${hidden}`],
  [new RegExp(`(?<![a-z0-9])(${kind}${colon})[a-z2-7]{20}${rest}`, "gi"), `$1${hidden}`],
  [new RegExp(`(hf-invite${colon}${quote})[a-z0-9%_-]${rest}`, "gi"), `$1${hidden}`],
  [/-----BEGIN [^-]*PRIVATE KEY-----[\s\S]*?(?:-----END [^-]*-----|$)/g, hidden],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g, hidden],
  [/((?:secret_?access_?key|session_?token)["']?\s*[=:]\s*["']?)[A-Za-z0-9/+=]{8,}/gi, `$1${hidden}`],
  [/([?&](?:secret|password|token|signature|x-amz-[a-z-]+)=)[^&\s"']+/gi, `$1${hidden}`],
  [/(--[a-z-]{0,32}(?:passphrase|password|secret|token)=)[^\s"']+/gi, `$1${hidden}`],
  [/(:\/\/)[^\s/@"':]{1,128}:(?!\d+(?:\/|$))[^\s@"']{1,256}@/g, `$1${hidden}@`],
]

/** `text` with control characters, line ends and text-direction marks made visible, for a terminal. */
export function printable(text: string): string {
  return text.replace(unsafe, (letter) => {
    const code = letter.charCodeAt(0)
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`
  })
}

/** `text` with `[hidden]` for what looks like a capability, an invitation, a private key or a key of a bucket. */
export function redacted(text: string): string {
  return secrets.reduce((shown, [pattern, instead]) => shown.replace(pattern, instead), text)
}

/** True when `redacted` would hide something. */
export function holdsSecret(text: string): boolean {
  return redacted(text) !== text
}

/** `text` as one line for people. */
export function shownLine(text: string): string {
  return printable(redacted(text))
}

/** Text whose line ends are the program's own, for people: the help of a command, a stack. */
export function shownLines(text: string): string {
  return redacted(text).split("\n").map(printable).join("\n")
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
  return text.replace(unsafeInJson, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`)
}
