/** Every command with its one-line summary and where its code lies; the code is loaded when the command is asked for. */
import type { CommandSource } from "./command.ts"

/** All commands, in the order of the help. */
export const commands: readonly CommandSource[] = [
  {
    names: ["up", "down", "status"],
    summaries: ["start a local grid and a client for it", "stop the local grid", "show how the grid is"],
    load: () => import("./commands/grid/local.ts"),
  },
  { names: ["put"], summaries: ["store files and folders"], load: () => import("./commands/files/put.ts") },
  {
    names: ["get", "cat"],
    summaries: ["fetch files and folders", "print a file"],
    load: () => import("./commands/files/get.ts"),
  },
  {
    names: ["ls", "tree", "stat", "du", "find"],
    summaries: [
      "list a directory",
      "list a directory and all below it",
      "say everything about a path",
      "sum up sizes",
      "find paths by name, type or size",
    ],
    load: () => import("./commands/files/ls.ts"),
  },
  {
    names: ["mkdir", "cp", "mv", "rm", "ln"],
    summaries: [
      "make a directory",
      "copy within the grid",
      "move or rename",
      "remove",
      "link a capability into a directory",
    ],
    load: () => import("./commands/files/change.ts"),
  },
  {
    names: ["snapshot", "diff", "cap"],
    summaries: ["keep, list, restore and remove snapshots", "show what changed", "print a capability to share"],
    load: () => import("./commands/files/snapshot.ts"),
  },
  {
    names: ["history"],
    summaries: ["show the versions of a tree, go back to one, and go back from what a writer did"],
    load: () => import("./commands/files/history.ts"),
  },
  {
    names: ["check", "rebalance"],
    summaries: ["check the health of files and repair it", "move shares after nodes came or went"],
    load: () => import("./commands/files/check.ts"),
  },
  {
    names: ["maintain"],
    summaries: ["check, mend, rebalance and collect by itself, round after round"],
    load: () => import("./commands/files/maintain.ts"),
  },
  {
    names: ["leakage"],
    summaries: ["show what servers can learn of a tree"],
    load: () => import("./commands/files/leakage.ts"),
  },
  {
    names: ["gc"],
    summaries: ["free what this account needs no more"],
    load: () => import("./commands/files/gc.ts"),
  },
  {
    names: ["alias"],
    summaries: ["name capabilities"],
    load: () => import("./commands/grid/alias.ts"),
  },
  {
    names: ["account", "keep"],
    summaries: [
      "what your devices share: trees that are kept, and who may free them",
      "say how long old versions are kept",
    ],
    load: () => import("./commands/grid/account.ts"),
  },
  {
    names: ["upgrade"],
    summaries: ["bring what an earlier version stored into your account"],
    load: () => import("./commands/grid/upgrade.ts"),
  },
  {
    names: ["volume"],
    summaries: ["make and keep volumes over buckets, directories and storage nodes"],
    load: () => import("./commands/grid/volume.ts"),
  },
  {
    names: ["seen"],
    summaries: ["list which versions were seen, carry that to other devices, or forget it"],
    load: () => import("./commands/grid/seen.ts"),
  },
  {
    names: ["recovery"],
    summaries: ["bring a profile's keys back after the machine is lost"],
    load: () => import("./commands/grid/recovery.ts"),
  },
  {
    names: ["lock", "unlock"],
    summaries: ["put the profile's secrets under a passphrase", "take the passphrase away again"],
    load: () => import("./commands/grid/lock.ts"),
  },
  {
    names: ["grid"],
    summaries: ["see and decide what the coordinator wants to change"],
    load: () => import("./commands/grid/grid.ts"),
  },
  {
    names: ["coordinator", "node", "invite", "join"],
    summaries: ["run a grid's coordinator", "run a storage node", "invite a member", "join a grid with an invitation"],
    load: () => import("./commands/grid/members.ts"),
  },
  {
    names: ["doctor"],
    summaries: ["find what is wrong here and how to mend it"],
    load: () => import("./commands/grid/doctor.ts"),
  },
  {
    names: ["completion"],
    summaries: ["print completion for a shell"],
    load: () => import("./commands/grid/completion.ts"),
  },
  {
    names: ["complete-places"],
    summaries: ["list places for a shell's completion"],
    hidden: true,
    load: () => import("./commands/grid/complete-places.ts"),
  },
  {
    names: ["supervise"],
    summaries: ["keep a local grid running"],
    hidden: true,
    load: () => import("./commands/grid/supervise.ts"),
  },
]
