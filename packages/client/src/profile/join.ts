/**
 * Joining a grid as a profile, also again: a profile whose certificate is refused gets a new key and certificate of the same
 * grid, and keeps aliases, volumes, account, and what it holds the grid to. The new identity lies beside the old one until it
 * is whole; where a command was stopped in between, the next one goes on. Specification: docs/protocols/join.md.
 */
import { existsSync } from "node:fs"
import { readFile, rm } from "node:fs/promises"
import { join as joinPath } from "node:path"
import { type Joined, join, joinedOf, loadIdentity } from "@holdfast/network"
import { hasGrid } from "../volumes/choose.ts"
import { type Paths, profileDir } from "./paths.ts"
import { createProfile, type Profile } from "./profile.ts"
import { isWhole, joinNext, keepPins, replaceIdentity, whyRefused } from "./rejoin.ts"
import { type AskPassphrase, changing, isLocked, readSecrets, writeSecrets } from "./secrets.ts"

/** Whose membership it becomes. */
export interface JoinProfileOptions {
  readonly paths: Paths
  readonly profile: string
  /** What the member is called. */
  readonly name: string
  /** Of a node that is joined without a folder of its own. */
  readonly serverNames?: readonly string[] | undefined
  readonly openProfile: () => Promise<Profile>
  readonly passphrase: AskPassphrase
  /** Tells the user what is done beside what was asked for. */
  readonly tell: (text: string) => void
}

/** Joins; makes the profile when there is none. Throws as `join`, and ERR_ALREADY_EXISTS for a member that is let in. */
export async function joinProfile(invitation: string, options: JoinProfileOptions): Promise<Joined> {
  const { paths, profile, name, serverNames = [], passphrase } = options
  const dir = profileDir(paths, profile)
  const { identity, next } = identityFolders(dir)
  const isMember = hasGrid({ identityDir: identity })
  if (!isMember && !isWhole(next) && !isLocked(dir)) {
    const joined = await join(invitation, { dir: identity, name, serverNames })
    if (joined.role === "client") await createProfile(paths, profile)
    return joined
  }
  await joinNext(invitation, { next, name }, async () => {
    if (isMember) await sayAgain(invitation, options)
  })
  const identified = await loadIdentity(next, Date.now(), await lockedKey(dir, passphrase))
  await keepPins({ identity, next })
  await takeIdentity(dir, passphrase)
  return joinedOf(identified)
}

const identityFolders = (dir: string) => ({
  identity: joinPath(dir, "identity"),
  next: joinPath(dir, "identity.next"),
  old: joinPath(dir, "identity.old"),
})

/** Says that the profile joins anew, and why. Throws ERR_ALREADY_EXISTS unless it is refused, ERR_INVITE for another grid. */
async function sayAgain(invitation: string, { openProfile, tell }: JoinProfileOptions): Promise<void> {
  const profile = await openProfile()
  const why = await whyRefused(invitation, {
    what: `profile "${profile.name}"`,
    identityDir: profile.identityDir,
    identity: () => profile.identity(),
    advice: "Name another profile: --profile NAME.",
  })
  const account = await profile.account()
  const device = account.keys
    ? ""
    : " Its account has to let the new key in: `holdfast account show` names this device, `holdfast account grant` on a full one lets it in."
  tell(`${why} Joining anew with a new key; aliases, volumes and account stay.${device}`)
}

/** The new private key, once it is under the passphrase and no longer in a file. */
async function lockedKey(dir: string, ask: AskPassphrase): Promise<string | undefined> {
  const { next } = identityFolders(dir)
  if (!isLocked(dir) || existsSync(joinPath(next, "key.pem"))) return undefined
  return (await readSecrets(dir, ask)).lock?.keyPem
}

/** Puts the new identity in the old one's place, the key of a locked profile under its passphrase first. */
async function takeIdentity(dir: string, ask: AskPassphrase): Promise<void> {
  const { identity, next, old } = identityFolders(dir)
  await changing(dir, async () => {
    const key = joinPath(next, "key.pem")
    if (isLocked(dir) && existsSync(key)) {
      const { secrets, lock } = await readSecrets(dir, ask)
      if (lock) await writeSecrets(dir, { secrets, lock: { ...lock, keyPem: await readFile(key, "utf8") } })
      await rm(key)
    }
    await rm(old, { recursive: true, force: true })
    await replaceIdentity({ identity, next }, old)
    await rm(old, { recursive: true, force: true })
  })
}
