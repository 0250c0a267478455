/** Deliberate defects of recovery kits: what makes them survive, hides them, and takes away those that were replaced. */
import { byTest, type Defect } from "./defect.ts"
import type { Shape } from "./world.ts"

const client = "packages/client/src/kits"
const tests = "packages/client/test/kits.test.ts"

/** Small worlds, where a run takes little time. */
const hasKits = ({ roles, versions, places, clients }: Shape) =>
  roles.includes("kits") && versions === 1 && places.length <= 5 && clients <= 4
/** Weaker rules. */
export const kitDefects: readonly Defect[] = [
  one(
    "a kit counts as made at one place too few",
    `${client}/lay-kit.ts`,
    "  const needed = Math.max(laying.needed, body.threshold + liars)\n",
    "  const needed = laying.needed - 1\n",
    byTest(tests, "only when a quorum took its part"),
  ),
  one(
    "places that lie are not thought of when a kit counts as made",
    `${client}/lay-kit.ts`,
    "Math.max(laying.needed, body.threshold + liars)",
    "laying.needed",
    byTest(tests, "only when lying ones can hold back their part"),
  ),
  one(
    "the threshold of a kit without words counts places",
    `${client}/threshold.ts`,
    "  const threshold = Math.max(f, held) + 1\n",
    "  const threshold = Math.max(f, 0 * held) + 1\n",
    byTest("packages/client/test/recovery.test.ts", "needs more parts than any f of the parties"),
  ),
  one(
    "a kit that was replaced is not erased",
    `${client}/parts.ts`,
    '    if (answer.state === "none" || answer.state === "erased") return { place }\n',
    '    if (answer.state !== "bad") return { place }\n',
    hasKits,
  ),
  one(
    "the account's list does not have its kits",
    `${client}/lay-kit.ts`,
    "  await memory.list(seed)\n",
    "",
    byTest(tests, "before it lies anywhere"),
  ),
  one(
    "a kit with words lies where everybody looks",
    `${client}/kit-memory.ts`,
    "  return master ? recoveryRegisterSeed(master) : openRecoveryRegisterSeed(name)\n",
    "  return master && !name ? recoveryRegisterSeed(master) : openRecoveryRegisterSeed(name)\n",
    hasKits,
  ),
  one(
    "the words of a kit are no part of its key",
    "packages/protocol/src/recovery-kit.ts",
    "deriveKey(concat(key, master), keyLabels",
    "deriveKey(concat(key, master.subarray(32)), keyLabels",
    hasKits,
  ),
  {
    name: "the words of a kit are told after the one before is erased",
    ...byTest(tests, "the words told last restore"),
    edits: [
      { file: `${client}/lay-kit.ts`, find: "  await kit.tell()\n", replace: "" },
      {
        file: `${client}/lay-kit.ts`,
        find: "  const failed = isSame ?",
        replace: "  await kit.tell()\n  const failed = isSame ?",
      },
    ],
  },
  one(
    "where a kit lies is not written down before it lies there",
    `${client}/lay-kit.ts`,
    "  if (fresh.length > 0) await memory.setKeys(",
    "  if (fresh.length < 0) await memory.setKeys(",
    byTest(tests, "the next run leaves no other"),
  ),
  one(
    "a kit is written over at all places at once",
    `${client}/write-parts.ts`,
    "  const first = holdersOf(keptKits(answers, liars))\n",
    "  const first = holdersOf([])\n",
    byTest(tests, "written over only when the missing one"),
  ),
  one(
    "places that do not answer count as holding a part",
    `${client}/write-parts.ts`,
    "away.filter((place) => !known.missing.includes(place)).length",
    "away.length",
    byTest(tests, "does not know that silent places hold a part"),
  ),
  one(
    "of two devices that make one kit neither stops",
    `${client}/write-parts.ts`,
    "      else if (now) isStopped = stops\n",
    "      else if (now) isStopped = stops && now.place === ''\n",
    byTest(tests, "one stops at the first place"),
  ),
  one(
    "a device's clock says which of two kits is the later one",
    `${client}/lay-kit.ts`,
    "  return newest\n",
    "  return 0 * newest\n",
    byTest(tests, "of a later time, whatever clock"),
  ),
]

function one(
  name: string,
  file: string,
  find: string,
  replace: string,
  more: Defect["where"] | Pick<Defect, "proof">,
): Defect {
  const how = typeof more === "function" ? { where: more } : more
  return { name, edits: [{ file, find, replace }], roles: ["kits"], ...how }
}
