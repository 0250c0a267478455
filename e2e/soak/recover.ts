/** Ann loses everything but the printed words and the keys of two buckets, and begins anew on another machine. */
import * as fs from "node:fs"
import { Device } from "./device.ts"
import type { History } from "./history.ts"
import { joinGrid, type People } from "./people.ts"
import { verifyWorkers, whileNobodyWorks } from "./verify.ts"
import type { Worker } from "./worker.ts"
import type { World } from "./world.ts"

/** Makes Ann's kit, or makes it anew; then restores it on a fresh machine and reads all that her workers stored. */
export class Recovery {
  readonly #world: World
  readonly #history: History
  #words: string | undefined
  #restored = 0

  constructor(world: World, history: History) {
    this.#world = world
    this.#history = history
  }

  async run({ annA }: People, workers: readonly Worker[]): Promise<void> {
    const more = this.#words === undefined ? ["--with-bucket-keys", "--words-file", "words"] : []
    await annA.must(["recovery", "kit", "--volume", "clouds", ...more], { kind: "recovery kit" })
    this.#words ??= annA.takeFile("words")
    const machine = this.#world.network.machines[this.#restored % 2]!
    const device = new Device(`restored-${this.#restored++}`, "ann", machine, this.#history)
    try {
      this.#history.say(`Ann restores on ${device.name}`)
      fs.writeFileSync(`${device.client.folder}/words`, this.#words, { mode: 0o600 })
      const places = this.#world.places.slice(0, 2)
      await device.must(["recovery", "restore", "--kit-passphrase-file", "words", "--backend", ...places], {
        kind: "recovery restore",
      })
      await joinGrid(this.#world, device)
      await device.must(["account", "show"])
      await whileNobodyWorks(workers, () => verifyWorkers(workers, device))
      this.#history.add("profiles restored and read", 1)
    } finally {
      device.close()
    }
  }
}
