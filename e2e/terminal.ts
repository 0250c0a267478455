/** A command on a terminal of its own, as a person runs it: what it shows, and answers to what it asks. */
import { spawn } from "node:child_process"

/** How a command on a terminal ended. */
export interface Shown {
  readonly code: number | null
  /** All that was on the screen, with what was typed. */
  readonly screen: string
}

/** What is typed. */
export interface Typing {
  readonly env: NodeJS.ProcessEnv
  /** Typed, with the return key, once the screen ends with a question: `[y/N] `. */
  readonly answer: string
}

/** Runs `words` with script(1) as the terminal. */
export async function onTerminal(words: readonly string[], { env, answer }: Typing): Promise<Shown> {
  const line = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ")
  const terminal = spawn("script", ["-qfec", line, "/dev/null"], { env, stdio: ["pipe", "pipe", "inherit"] })
  const ended = new Promise<number | null>((resolve) => terminal.once("close", resolve))
  let screen = ""
  let isAnswered = false
  terminal.stdout.setEncoding("utf8")
  for await (const piece of terminal.stdout) {
    screen += piece
    if (isAnswered || !screen.includes("[y/N] ")) continue
    isAnswered = true
    terminal.stdin.write(`${answer}\r`)
  }
  terminal.stdin.end()
  return { code: await ended, screen }
}
