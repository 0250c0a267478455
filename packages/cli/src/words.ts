/** Turns of phrase that commands share. */

/** Help text with examples: a command each, with a remark. */
export function examples(...lines: readonly (readonly [command: string, remark?: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length))
  const shown = lines.map(([command, remark]) =>
    remark === undefined ? `  ${command}` : `  ${command.padEnd(width)}  ${remark}`,
  )
  return `\nExamples:\n${shown.join("\n")}`
}

/** `1 file`, `2 files`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
