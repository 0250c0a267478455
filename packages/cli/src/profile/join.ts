/**
 * Joining a grid as a profile, also again: a profile whose certificate is refused gets a new key and certificate of the same
 * grid, and keeps aliases, volumes, account, and what it holds the grid to. The new identity lies beside the old one until it
 * is whole; where a command was stopped in between, the next one goes on. Specification: docs/protocols/join.md.
 */
import { existsSync } from "node:fs"
import { open, readFile, rename, rm } from "node:fs/promises"
import { join as joinPath } from "node:path"
import { equal, HoldfastError, isHoldfastError } from "@holdfast/core"
import {
  fetchGrid,
  fingerprintOf,
  type Joined,
  join,
  loadIdentity,
  loadMemberRecord,
  rolesOf,
  writeSecretFile,
} from "@holdfast/network"
import { decodeInvite } from "@holdfast/protocol"
import { hasGrid } from "../volumes/choose.ts"
import { type Paths, profileDir } from "./paths.ts"
import { createProfile, type Profile } from "./profile.ts"
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
  if (hasGrid({ identityDir: identity })) {
    if (!existsSync(joinPath(next, "cert.pem"))) await sayAgain(invitation, await options.openProfile(), options)
  } else if (!isLocked(dir)) {
    const joined = await join(invitation, { dir: identity, name, serverNames })
    if (joined.role === "client") await createProfile(paths, profile)
    return joined
  }
  if (!existsSync(joinPath(next, "cert.pem"))) await join(invitation, { dir: next, name })
  const identified = await loadIdentity(next, Date.now(), await lockedKey(dir, passphrase))
  await keepPins(identity, next)
  await takeIdentity(dir, passphrase)
  const { role, memberId, tenant } = identified
  return { role, memberId, tenant, roles: [...rolesOf(identified)] }
}

const identityFolders = (dir: string) => ({
  identity: joinPath(dir, "identity"),
  next: joinPath(dir, "identity.next"),
  old: joinPath(dir, "identity.old"),
})

/** Says that the profile joins anew, and why. Throws ERR_ALREADY_EXISTS unless it is refused, ERR_INVITE for another grid. */
async function sayAgain(invitation: string, profile: Profile, { tell }: JoinProfileOptions): Promise<void> {
  const { caFingerprint } = decodeInvite(invitation)
  const own = fingerprintOf(await readFile(joinPath(profile.identityDir, "ca.pem"), "utf8"))
  if (!equal(own, caFingerprint))
    throw new HoldfastError(
      "ERR_INVITE",
      `This invitation is for another grid than the one of the profile "${profile.name}". A profile belongs to one grid: name another with --profile NAME.`,
    )
  const why = await whyRefused(profile)
  const account = await profile.account()
  const device = account.keys
    ? ""
    : " Its account has to let the new key in: `holdfast account show` names this device, `holdfast account grant` on a full one lets it in."
  tell(`${why} Joining anew with a new key; aliases, volumes and account stay.${device}`)
}

/** Why the grid does not let the profile in. Throws ERR_ALREADY_EXISTS when it does, or when nobody can be asked. */
async function whyRefused(profile: Profile): Promise<string> {
  let isAsked = false
  try {
    const { fresh, offer } = await fetchGrid(profile.identityDir, { identity: await profile.identity() })
    isAsked = fresh || offer !== undefined
  } catch (error) {
    // Of a wrong clock here no new certificate helps.
    const isRefused =
      isHoldfastError(error, "ERR_REFUSED") && (error.details["proven"] === true || "notAfterMs" in error.details)
    if (isRefused) return error.message
    throw error
  }
  throw new HoldfastError(
    "ERR_ALREADY_EXISTS",
    `The profile "${profile.name}" is a member of a grid already${isAsked ? ", which lets it in" : ", whose coordinator cannot be asked now whether it lets it in"}. To join another one, or as somebody else, name another profile: --profile NAME.`,
  )
}

/** The new private key, once it is under the passphrase and no longer in a file. */
async function lockedKey(dir: string, ask: AskPassphrase): Promise<string | undefined> {
  const { next } = identityFolders(dir)
  if (!isLocked(dir) || existsSync(joinPath(next, "key.pem"))) return undefined
  return (await readSecrets(dir, ask)).lock?.keyPem
}

/** What the profile holds the grid to stays: a coordinator that shuts a member out cannot weaken anything by it. */
async function keepPins(identity: string, next: string): Promise<void> {
  if (!hasGrid({ identityDir: identity })) return
  const [before, now] = await Promise.all([loadMemberRecord(identity), loadMemberRecord(next)])
  if (before.gridId !== now.gridId)
    throw new HoldfastError("ERR_INVITE", "The coordinator let this profile into another grid. Nothing was changed.")
  for (const name of ["pins.json", "grid.json"]) {
    const path = joinPath(identity, name)
    if (existsSync(path)) await writeSecretFile(joinPath(next, name), await readFile(path))
    else await rm(joinPath(next, name), { force: true }) // of before there were pins: `grid.json` is what counts
  }
  const record = { ...now, gridPublicKey: before.gridPublicKey }
  await writeSecretFile(joinPath(next, "member.json"), `${JSON.stringify(record, null, 2)}\n`)
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
    if (existsSync(identity)) await rename(identity, old)
    await rename(next, identity)
    const folder = await open(dir, "r")
    await folder.sync().finally(() => folder.close())
    await rm(old, { recursive: true, force: true })
  })
}
