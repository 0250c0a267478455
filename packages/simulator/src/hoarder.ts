import type { Role } from "./cast.ts"
import type { World } from "./world.ts"
export async function createHoarder(_world: World): Promise<Role> { return { act: async () => "nothing" } }
