/** What is told of a command that stored what it should, on fewer places than it should: once, with who and why and what to do. */
import type { Session } from "@holdfast/client/volumes"
import { type PlaceShortfall, tellAnswers } from "@holdfast/store"
import { plural } from "./words.ts"

/** A place that did not take all that it was given. */
export interface DegradedPlace extends PlaceShortfall {
  /** What people call it. */
  readonly name: string
  /** In which volume it is. */
  readonly volume: string
}

/** The field `degraded` of a command's JSON; null there when all is where it should be. */
export interface Degraded {
  readonly places: readonly DegradedPlace[]
  /** Chunks that lack a place at least. */
  readonly chunks: number
}

/** What a session is asked. */
type Asked = Pick<Session, "volume" | "nameOf"> & { readonly store: Pick<Session["store"], "shortfall"> }

/** What was stored in these sessions and lies on fewer places than it should; undefined when nothing does. */
export async function degradedOf(sessions: Iterable<Asked>): Promise<Degraded | undefined> {
  const places: DegradedPlace[] = []
  let chunks = 0
  for (const { store, volume, nameOf } of sessions) {
    const shortfall = await store.shortfall()
    if (!shortfall) continue
    chunks += shortfall.chunks
    places.push(...shortfall.places.map((place) => ({ ...place, name: nameOf(place.server), volume })))
  }
  return places.length > 0 || chunks > 0 ? { places, chunks } : undefined
}

/** The same in a line. */
export function degradedText({ places, chunks }: Degraded): string {
  const told = (tookSome: boolean) =>
    tellAnswers(places.filter((place) => place.tookSome === tookSome).map(({ name, why }) => ({ server: name, why })))
  const [nothing, part] = [told(false), told(true)]
  const who = [nothing && `took nothing: ${nothing}`, part && `took a part only: ${part}`].filter(Boolean).join("; ")
  const risk =
    chunks > 0
      ? `${plural(chunks, "chunk")} ${chunks === 1 ? "lacks" : "lack"} a place, so ${chunks === 1 ? "it bears" : "they bear"} fewer losses`
      : "Every chunk has its places elsewhere; what these places missed, they lack"
  return `warning: what was stored is safe, but not everywhere. ${who}. ${risk}. Once these places take data again: holdfast check --deep --repair, with the tree's name.`
}
