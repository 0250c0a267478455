/** Patterns in places: `home:/photos/*.jpg` is each of those that are there, as a shell has it for local files. */
import { HoldfastError } from "@holdfast/core"
import { holdsEntries } from "@holdfast/fs"
import { splitRemote } from "../../places.ts"
import { globMatches } from "./glob.ts"
import { lookUp, type Opener } from "./locations.ts"

const hasPattern = (text: string) => /[*?]/.test(text)

/**
 * The places that `texts` name, those with * or ? in their path for all that fit, in order. What is there under that very name is
 * meant itself; a name that begins with a dot fits only a pattern that does. Throws ERR_NOT_FOUND for one that fits nothing.
 */
export async function globbed(open: Opener, texts: readonly string[]): Promise<string[]> {
  const places: string[] = []
  for (const text of texts) places.push(...(await placesOf(open, text)))
  return places
}

async function placesOf(open: Opener, text: string): Promise<readonly string[]> {
  const { base, path } = splitRemote(text)
  if (!hasPattern(path) || (await lookUp(open, text))) return [text]
  const names = path.split("/").filter((name) => name !== "")
  let found = [base]
  for (const [i, name] of names.entries()) {
    const isLast = i === names.length - 1
    const next = await Promise.all(found.map((folder) => fitting(open, { folder, name, isLast })))
    found = next.flat()
  }
  if (found.length === 0) throw new HoldfastError("ERR_NOT_FOUND", `Nothing is there that fits ${text}.`)
  return path.endsWith("/") ? found.map((place) => `${place}/`) : found
}

async function fitting(
  open: Opener,
  { folder, name, isLast }: { readonly folder: string; readonly name: string; readonly isLast: boolean },
): Promise<string[]> {
  if (!hasPattern(name)) {
    const place = `${folder}/${name}`
    return isLast && !(await lookUp(open, place)) ? [] : [place]
  }
  const at = await lookUp(open, folder)
  if (!at || !holdsEntries(at.item)) return []
  const names: string[] = []
  for await (const [own] of at.files.list(at.item))
    if (globMatches(name, own) && (name.startsWith(".") || !own.startsWith("."))) names.push(`${folder}/${own}`)
  return names
}
