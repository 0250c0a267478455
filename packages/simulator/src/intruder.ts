import type { Role } from "./cast.ts"
import type { World } from "./world.ts"
export async function createIntruder(_world: World): Promise<Role> { return { act: async () => "nothing" } }
