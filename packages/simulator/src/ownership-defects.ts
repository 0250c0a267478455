/** Deliberate defects, at least one for each rule of ownership, of one plaintext and of history (docs/protocols/marks.md). */
import { byTest, type Defect } from "./defect.ts"
import type { Shape } from "./world.ts"

const store = "packages/store/src"
const directory = "packages/backends/src/directory"
const bucket = "packages/backends/src/s3"
const rules = "packages/backends/src/rules.ts"

const isOf = (kind: "node" | "bucket") => (shape: Shape) => shape.places.every((place) => place === kind)
/** One machine sleeps before its commit while another of its account, at most a few, collects. */
const sleepsOn = (kind: "node" | "bucket") => (shape: Shape) =>
  isOf(kind)(shape) && shape.faults.includes("sleep") && shape.clients >= 2 * shape.accounts && shape.versions === 1
/** Lists lag everywhere, and all ends well enough that space must come back. */
const lags = (shape: Shape) => isOf("bucket")(shape) && shape.faults.includes("lag") && shape.places.length <= 5

/** Weaker rules, each with the name of the rule. */
export const ownershipDefects: readonly Defect[] = [
  one(
    "O1: a grant for another device is taken",
    "packages/node/src/access.ts",
    '.toString("base64url") !== peer.keyId)',
    '.toString("base64url") === "")',
    byTest("packages/node/test/node.test.ts", "lets who shows no grant, or one that is not its own"),
  ),
  one(
    "O2: what the account's grant does not allow is done by the certificate alone",
    "packages/node/src/access.ts",
    "    return { account, roles: both(grant.roles, rolesOf(peer)) }\n",
    "    return { account, roles: [...rolesOf(peer)] }\n",
    (shape) => isOf("node")(shape) && shape.clients >= shape.accounts + 2 && shape.places.length <= 5,
  ),
  one(
    "O3: an order to unmark needs no signature",
    "packages/protocol/src/account.ts",
    "  if (!(await crypto.verify(order.publicKey, unmarkBytes(order), order.signature)))\n",
    "  if (!(await crypto.verify(order.publicKey, unmarkBytes(order), order.signature)) && !order.place)\n",
    byTest("packages/backends/test/memory.test.ts", "refuses an order that is forged"),
  ),
  {
    name: "O4: a tree is listed after what is stored for it",
    edits: [
      edit(
        "  await addToList(client.store.registers, client.listKeys, [tree.name])\n  await client.filesOf",
        "  await client.filesOf",
      ),
      edit(
        "  if (sleep) await sleepThrough(context, sleep)\n  return `",
        "  if (sleep) await sleepThrough(context, sleep)\n" +
          "  await addToList(client.store.registers, client.listKeys, [tree.name])\n  return `",
      ),
    ],
  },
  one(
    "O5: what is found is marked outside of the put's transaction, and forgotten",
    `${directory}/marking.ts`,
    "  marks.addMarks(tenant.tenant, share, accounts, batch, isOverAt(caller.stamp, parts.graceMs))\n",
    "  if (before.length === 0)\n    marks.addMarks(tenant.tenant, share, accounts, batch, isOverAt(caller.stamp, parts.graceMs))\n",
  ),
  one(
    "O6: a broken batch is taken",
    `${directory}/proposing.ts`,
    "  return broken === 1\n",
    "  return broken === undefined\n",
    byTest("packages/backends/test/directory.test.ts", "vouches for what a command marked"),
  ),
  one(
    "O6: a value is taken for a command that was not heard of for long",
    "packages/backends/src/rules.ts",
    "  return stamp - batch.stamp > mostUnconfirmedMs\n",
    "  return batch.stamp > stamp\n",
    byTest("packages/store/test/marks.test.ts", "a writer that was stopped for a day"),
  ),
  one(
    "O6: a writer asleep between two chunks shows its value to who has marked the second alone",
    `${store}/register-confirm.ts`,
    "one.marksWithAnswer && marked.every((places) => places.has(one))",
    "one.marksWithAnswer && marked.some((places) => places.has(one))",
    byTest("packages/store/test/marks.test.ts", "a writer that was stopped between two chunks"),
  ),
  one(
    "O6: a command that slept, and marks more, is as one that was awake",
    `${directory}/marking.ts`,
    "  if (batch.stamp > 0 && isUnheard(batch, caller.stamp)) marks.breakBatch(batch.batch)\n",
    "  if (batch.stamp < 0 && isUnheard(batch, caller.stamp)) marks.breakBatch(batch.batch)\n",
    byTest("packages/backends/test/directory.test.ts", "marks more after it was not heard of"),
  ),
  one(
    "O7: who vouches is not counted",
    `${store}/register-quorum.ts`,
    "    accepted >= needed && patterns.every((pattern) => distinct(pattern, (backend) => vouching.has(backend)) >= happy)\n",
    "    accepted >= needed && patterns.every((pattern) => distinct(pattern) >= happy)\n",
    byTest("packages/store/test/marks.test.ts", "between their word that they hold it and the value"),
  ),
  one(
    "O8: a place's own answer does not count",
    `${store}/collect.ts`,
    "          live.has(id) || liveAt?.get(place)?.has(id) === true",
    "          live.has(id) || (liveAt?.get(place)?.has(id) === true && live.has(id))",
    byTest("packages/cli/test/account.test.ts", "a value that one place alone took keeps its chunks there"),
  ),
  one(
    "O8: marks younger than the token go",
    rules,
    "  return (stamp) => stamp <= until && place.stamp - stamp >= youngMs",
    "  return (stamp) => until >= 0 && place.stamp - stamp >= youngMs",
    byTest("packages/backends/test/directory.test.ts", "takes nothing that was marked after the token"),
  ),
  one(
    "O9: a client may bring the grace under the least",
    rules,
    "  const youngMs = Math.max(leastGraceMs, place.graceMs, graceMs)",
    "  const youngMs = Math.min(leastGraceMs, place.graceMs, graceMs)",
    byTest("packages/backends/test/memory.test.ts", "takes nothing for which somebody asks no grace"),
  ),
  one(
    "O10: a share goes with the first mark",
    `${directory}/marking.ts`,
    "  if (index.marks.dropMarks(tenant, share, own)) return { ...done, marks: 1 }\n",
    "  index.marks.dropMarks(tenant, share, own)\n",
  ),
  one(
    "O11: the accounts of a tree's care are not marked for",
    `${store}/store.ts`,
    "batches.present(accounts.filter(isOther), renewAfterMs)",
    "batches.present(accounts.filter(isOther).slice(accounts.length), renewAfterMs)",
  ),
  one(
    "O11: what a repair places is marked for whoever repairs alone",
    "packages/fs/src/care/health.ts",
    "accounts: repair && holders ? await holders() : []",
    "accounts: repair && holders ? [] : []",
    byTest("packages/fs/test/care.test.ts", "what a repair places is held for every account of the tree"),
  ),
  one(
    "O12: what a commit copies is not marked",
    `${store}/register-commit.ts`,
    "    await marks.mark(chunks, batch, doubted, signal)\n    const commitment = { batch, patterns: batch.patterns(chunks), happy: marks.happy, signal }\n",
    "    const commitment = { batch, patterns: batch.patterns([]), happy: marks.happy, signal }\n",
  ),
  one(
    "O13: marks in a bucket are not looked at after the value",
    `${bucket}/vouch.ts`,
    "        if (name === undefined) continue\n",
    "        if (name !== undefined) continue\n",
    byOrders("new", "wcs", "2"),
  ),
  one(
    "O13: marks in a bucket are not written before the value",
    `${bucket}/propose.ts`,
    "    await Promise.all([voucher.write(batch, signal), place.requireMarks({ signal })])\n",
    "    await place.requireMarks({ signal })\n",
  ),
  one(
    "O14: what is condemned is stored under the same key",
    `${bucket}/shares.ts`,
    "generation: fence.generationAbove(id, index) }",
    "generation: 0 * fence.generationAbove(id, index) }",
    byOrders("condemned", "bs", "2"),
  ),
  one(
    "O15: what the word of a collection does not name goes too, however young",
    `${bucket}/collect.ts`,
    "const isOld = isSettled && names.has(object.name) && view.atMs - sinceMs >= graceMs",
    "const isOld = isSettled && view.atMs - sinceMs >= 0 * graceMs",
  ),
  one(
    "O16: marks are not read again before a sweep deletes",
    `${bucket}/sweep.ts`,
    "    const marked = await this.#markedAmong(list)\n",
    "    const marked = new Set<number>()\n",
    byOrders("old", "wcs", "2"),
  ),
  one(
    "D5: slices made from parity are not held against the descriptor",
    `${store}/seal.ts`,
    "  if (!(await hasNamedSlices(deps.crypto, shares, slices))) throw inconsistentError(first.id)\n",
    "  if (!(await hasNamedSlices(deps.crypto, shares, slices)) && !first) throw inconsistentError(first)\n",
  ),
  one(
    "B2: an unproven history is taken",
    `${store}/register-guard.ts`,
    `        if (relation === "fork") return { rollback: { ...rollback, evidence }, followed: nothing }\n        if (relation === "unproven") unproven`,
    `        if (relation === undefined) unproven`,
  ),
  one(
    "O7: a place that does not vouch gets the shares again and again",
    `${store}/register-commit.ts`,
    "    for (const backend of proposal.silent) doubted.add(backend)\n    for (const backend of proposal.gone) if (refused.has(backend)) doubted.add(backend)\n",
    "",
    byTest("packages/store/test/liars.test.ts", "whose lie is .never vouches"),
  ),
  one(
    "O13: a value is shown before what it needs is marked at the other buckets",
    `${store}/register-quorum.ts`,
    "  const unheld = isHeld ? undefined : await confirm(value.value.publicKey, commitment)\n",
    "  const unheld: Unheld | undefined = isHeld ? undefined : undefined\n",
    byTest("packages/store/test/bucket-commit.test.ts", "a value is put at no bucket before"),
  ),
  one(
    "a version by who may only append leaves nothing behind it",
    `${directory}/proposing.ts`,
    '  return !isOwn || !roles.includes("collect")\n',
    "  return !isOwn && roles.length > 0\n",
  ),
  one(
    "lists of devices that may only append are not taken over",
    "packages/simulator/src/collecting.ts",
    "      const appended = await absorb(client, collection)\n",
    "      const appended = (await absorb(client, collection)).slice(0, 0)\n",
    (shape) => sleepsOn("node")(shape) && shape.clients >= shape.accounts + 2,
  ),
  one(
    "a bucket's fence does not stop who has an old description",
    `${bucket}/vouch.ts`,
    "    if (epoch > this.#place.epoch)\n",
    "    if (epoch > this.#place.epoch && epoch < 0)\n",
    isOf("bucket"),
  ),
  one(
    "O15: the word of a collection goes before lists that lag show it",
    `${bucket}/collect.ts`,
    "    if (isSettled) this.#spent.add(word)\n",
    "    this.#spent.add(word)\n",
    lags,
  ),
  one(
    "where lists lag, a number that another writer has is taken",
    `${bucket}/registers.ts`,
    "    if (this.#place.listDelayMs === 0) return undefined\n",
    "    if (this.#place.listDelayMs >= 0) return undefined\n",
    byTest("packages/backends/test/bucket-lag.test.ts", "where lists lag nobody takes a number"),
  ),
  one(
    "B7: what was seen is written after success is reported",
    `${store}/register-store.ts`,
    "    await guard.note(register, value, value, { followed })\n",
    "    void guard.note(register, value, value, { followed })\n",
  ),
]

function one(
  name: string,
  file: string,
  find: string,
  replace: string,
  more: Defect["where"] | Pick<Defect, "where" | "proof"> = {},
): Defect {
  return { name, edits: [{ file, find, replace }], ...(typeof more === "function" ? { where: more } : more) }
}

/** By the real bucket backend over all orders of requests, up to some interruptions. */
function byOrders(...words: readonly [start: string, who: string, interruptions: string]): Pick<Defect, "proof"> {
  return { proof: ["packages/backends/test/bucket-races/main.ts", ...words, "20000"] }
}

/** Of what the simulator's clients do. */
function edit(find: string, replace: string): Defect["edits"][number] {
  return { file: "packages/simulator/src/operations.ts", find, replace }
}
