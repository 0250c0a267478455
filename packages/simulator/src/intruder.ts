/**
 * Whoever owns a place and changes what lies there. Only at places that may be faulty, so nothing acknowledged is lost, nothing wrong
 * is read and nothing goes that is needed; and nothing outside of the place's own folder is touched, whatever names its index has.
 */
import type { Role } from "./role.ts"
import type { Storage } from "./storage.ts"
import type { World } from "./world.ts"

/** Changes of one visit. */
const mostChanges = 6

/** The role `intruder` of a world: nobody's, where no place may hold what was never written. */
export async function createIntruder({ servers, faulty, isByzantine, time }: World): Promise<Role> {
  const places = isByzantine ? servers.filter(({ id }) => faulty.has(id)) : []
  const touched = new Set<Storage>()
  return {
    async act(random) {
      if (places.length === 0) return "nothing"
      const place = random.pick(places)
      touched.add(place)
      const told = Array.from({ length: random.between(1, mostChanges) }, () => place.intrude(random))
      if (random.chance(0.3)) {
        place.crash()
        place.start()
      }
      return `at ${place.id}: ${told.join(", ")}`
    },
    async check() {
      for (const place of touched) place.checkOutside?.()
    },
    /** Nobody can mend a place that somebody else changes: its operator begins anew. */
    stop() {
      for (const place of touched) {
        time.tell(`${place.id} is emptied by its operator`)
        place.lose()
        place.start()
      }
    },
  }
}
