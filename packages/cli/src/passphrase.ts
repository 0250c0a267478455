/**
 * Where a passphrase comes from: what was named, or the terminal, without echo. Never an argument. Both give one line as it
 * is, blanks at its ends too, without the line end.
 */
import { closeSync, openSync, writeSync } from "node:fs"
import { ReadStream } from "node:tty"
import { HoldfastError, shownLine } from "@holdfast/core"
import { type PassphraseSource, readFrom } from "./passphrase-source.ts"

const longest = 1024
const shortest = 8

const lockOptions =
  "--passphrase-file FILE (- for standard input), or a command that prints it: --passphrase-command COMMAND"

/**
 * A passphrase from `source` (a text is a file, `-` standard input), or asked for with `question` when none is named. `options` says
 * how one is named, for the error without a terminal.
 */
export async function readPassphrase(
  source: string | PassphraseSource | undefined,
  question: string,
  options: string = lockOptions,
): Promise<string> {
  const passphrase = source === undefined ? await askTerminal(question, options) : readFrom(sourceOf(source))
  if (passphrase === "" || passphrase.length > longest)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      passphrase === "" ? "The passphrase is empty." : `A passphrase has at most ${longest} characters.`,
    )
  return passphrase
}

/** A new passphrase; from the terminal it is asked for twice. Throws ERR_INVALID_ARGUMENT for a short one. */
export async function readNewPassphrase(source: string | PassphraseSource | undefined): Promise<string> {
  const passphrase = await readPassphrase(source, "New passphrase: ")
  if (passphrase.length < shortest)
    throw new HoldfastError(
      "ERR_INVALID_ARGUMENT",
      `The passphrase is too short: take at least ${shortest} characters, better some words.`,
    )
  if (source === undefined && (await askTerminal("Again: ", lockOptions)) !== passphrase)
    throw new HoldfastError("ERR_INVALID_ARGUMENT", "The two passphrases differ. Nothing was changed.")
  return passphrase
}

function sourceOf(source: string | PassphraseSource): PassphraseSource {
  return typeof source === "string" ? { kind: "file", file: source } : source
}

/** Asks on the controlling terminal, so that standard input stays free for data. Throws ERR_LOCKED without one. */
async function askTerminal(question: string, options: string): Promise<string> {
  const { terminal, screen } = openTerminal(
    `A passphrase is needed and there is no terminal to ask on. Name a file that holds it: ${options}.`,
  )
  terminal.setRawMode(true)
  writeSync(screen, shownLine(question))
  try {
    return await readLine(terminal)
  } finally {
    writeSync(screen, "\n")
    closeSync(screen)
    terminal.setRawMode(false)
    terminal.destroy()
  }
}

/** The controlling terminal. Throws ERR_LOCKED with `message` without one. */
export function openTerminal(message: string): { terminal: ReadStream; screen: number } {
  try {
    return { terminal: new ReadStream(openSync("/dev/tty", "r")), screen: openSync("/dev/tty", "w") }
  } catch {
    throw new HoldfastError("ERR_LOCKED", message)
  }
}

function readLine(terminal: ReadStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed: string[] = []
    terminal.setEncoding("utf8")
    terminal.on("data", (text: string) => {
      for (const character of text)
        if (character === "\r" || character === "\n") return resolve(typed.join(""))
        else if (character === "\u0003" || character === "\u0004")
          return reject(new HoldfastError("ERR_ABORTED", "No passphrase was given."))
        else if (character === "\u007f" || character === "\b") typed.pop()
        else if (character === "\u0015") typed = []
        else typed.push(character)
    })
    terminal.once("error", reject)
    terminal.once("end", () => reject(new HoldfastError("ERR_ABORTED", "The terminal was closed.")))
  })
}
