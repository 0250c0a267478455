/**
 * What people give each other: an item of a folder, which the other copies by reference before its owner removes it; and a tree,
 * which the other keeps before its maker forgets it. From then on it is the taker's alone.
 */
import * as fs from "node:fs"
import { pick } from "../random.ts"
import { type Content, type Folder, type SharedTree, withItem, withoutItem } from "./folder.ts"
import { makeFolder } from "./operations.ts"
import { mostTries, type Worker } from "./worker.ts"

interface Offer {
  readonly from: Worker
  readonly folder: Folder
  readonly name: string
}

interface Gift {
  readonly from: Worker
  readonly alias: string
  readonly volume: SharedTree["volume"]
  readonly cap: string
  readonly files: ReadonlyMap<string, Content>
}

/** What lies between people. */
export class Exchange {
  readonly #offers: Offer[] = []
  readonly #gifts: Gift[] = []
  readonly #released: Offer[] = []

  /** Takes part once: offers, takes, gives or keeps. */
  async trade(worker: Worker): Promise<void> {
    await pick(worker.random, [this.#offer, this.#take, this.#take, this.#give, this.#keep, this.#keep]).call(
      this,
      worker,
    )
  }

  async #offer(worker: Worker): Promise<void> {
    await this.#clearUp(worker)
    const folder = pick(worker.random, worker.folders)
    const free = [...folder.items].filter(([name, { kind }]) => kind !== "link" && !folder.frozen.has(name))
    if (free.length === 0) return
    const [name] = pick(worker.random, free)
    folder.frozen.add(name)
    this.#offers.push({ from: worker, folder, name })
  }

  /** Removes what others have copied by now, and forgets trees that others keep. */
  async #clearUp(worker: Worker): Promise<void> {
    for (const offer of this.#released.filter(({ from }) => from === worker)) {
      this.#released.splice(this.#released.indexOf(offer), 1)
      const { folder, name } = offer
      folder.frozen.delete(name)
      const after = withoutItem(folder.items, name)
      await worker.change(folder, { kind: "rm what was copied", args: ["rm", "-rf", worker.at(folder, name)], after })
    }
    for (const alias of worker.given.splice(0)) await forget(worker, alias)
  }

  async #take(worker: Worker): Promise<void> {
    const index = this.#offers.findIndex(({ from }) => from.device.person !== worker.device.person)
    if (index < 0) return
    const [offer] = this.#offers.splice(index, 1) as [Offer]
    const { folder, name } = offer
    const target = pick(
      worker.random,
      worker.folders.filter(({ tree }) => tree.volume === folder.tree.volume),
    )
    const to = worker.nextName("t")
    const args = ["cp", worker.at(folder, name), worker.at(target, to)]
    const after = withItem(target.items, to, folder.items.get(name)!)
    await worker.change(target, { kind: "cp of another's", args, after })
    if (target.items === after) this.#released.push(offer)
  }

  async #give(worker: Worker): Promise<void> {
    const { device } = worker
    const alias = `gift-${worker.name}-${worker.nextName("g")}`
    const volume = pick(worker.random, ["grid", "clouds"] as const)
    const made = await device.call(["alias", "create", alias, "--volume", volume], { kind: "alias create" })
    if (!made.isDone) return
    worker.made.add(alias)
    const { local, files: inside } = makeFolder(worker)
    await device.must(["put", local, `${alias}:/in`], { kind: "put gift" })
    const files = new Map([...inside].map(([path, content]) => [`in/${path}`, content]))
    fs.rmSync(local, { recursive: true })
    const { cap } = (await device.must(["cap", `${alias}:`, "--read"])) as { cap: string }
    this.#gifts.push({ from: worker, alias, volume, cap, files })
  }

  /** Keeps a tree as an alias of the account, or linked in a folder of its own. */
  async #keep(worker: Worker): Promise<void> {
    const index = this.#gifts.findIndex(({ from }) => from.device.person !== worker.device.person)
    if (index < 0) return
    const [gift] = this.#gifts.splice(index, 1) as [Gift]
    const { alias, volume, cap, files, from } = gift
    if (worker.random(2) === 0) {
      const args = ["alias", "add", alias, "--volume", volume]
      await worker.device.must(args, { kind: "alias add", input: cap })
      worker.kept.push({ alias, files })
    } else {
      const target = pick(
        worker.random,
        worker.folders.filter(({ tree }) => tree.volume === volume),
      )
      const file = `${worker.device.client.folder}/${alias}.cap`
      fs.writeFileSync(file, cap, { mode: 0o600 })
      const after = withItem(target.items, alias, { kind: "link", files })
      await worker.change(target, { kind: "ln", args: ["ln", `@file:${file}`, worker.at(target, alias)], after })
      if (target.items !== after) return
    }
    from.given.push(alias)
  }
}

/** Forgets an alias on all devices of the account; it may be forgotten already when an answer was lost. */
export async function forget(worker: Worker, alias: string): Promise<void> {
  const options = { kind: "alias remove", allowed: ["ERR_UNKNOWN_ALIAS"] }
  for (let tries = 0; tries < mostTries; tries++) {
    const { isDone, error } = await worker.device.call(["alias", "remove", alias, "--yes"], options)
    if (!isDone && error !== "ERR_UNKNOWN_ALIAS") continue
    worker.made.delete(alias)
    return
  }
  throw new Error(`${worker.device.name}: ${alias} could not be removed in ${mostTries} tries`)
}
