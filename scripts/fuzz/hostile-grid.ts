/**
 * Grid descriptions of a coordinator that somebody took over: whatever it signs with the grid's own key is opened, held against what a
 * member pinned, and used; what it signed with another key, or changed after signing, is never opened. The input is the signed text.
 */
import { sign } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { domainSurvivalOf, domainText, spreadOf, survivalIn } from "@holdfast/client/volumes"
import { assert, concat, domainPrefix, fromUtf8, isHoldfastError, utf8 } from "@holdfast/core"
import {
  absentVoters,
  digestOf,
  firstPins,
  judgeGrid,
  openGrid,
  type Pins,
  publicKeyText,
  type SignedGrid,
  signGrid,
  standingsOf,
  taken,
} from "@holdfast/network"
import type { GridDescription } from "@holdfast/protocol"
import { keyOf } from "../grid-vectors.ts"
import type { Target } from "./targets.ts"

/** A file of vectors, as far as it is used here. */
interface Vectors {
  readonly good: readonly { readonly signed: SignedGrid }[]
  readonly bad: readonly { readonly signed: SignedGrid }[]
}

const [own, others] = [keyOf("grid key"), keyOf("second grid key")]
const [ownText, othersText] = [publicKeyText(own), publicKeyText(others)]
const domains = [1, 3, 4].map((version) => `holdfast/grid-description/${version}`)
const maxBytes = 8192

/** Opens, judges and uses descriptions of versions 3 and 4. */
export function hostileGridTarget(): Target {
  const vectors = [3, 4].map((version): Vectors => {
    const path = join(import.meta.dirname, `../../interop/vectors/grid-description-${version}.json`)
    return JSON.parse(fromUtf8(readFileSync(path)))
  })
  const usable = ({ signed }: { readonly signed: SignedGrid }) => {
    const grid = openGrid(signed, ownText)
    const voters = grid.servers.map(({ id }) => id)
    return signGrid({ ...grid, coding: { k: 1, happy: 1, n: 2 }, voters }, own) // so that members have stored something, and hold to it
  }
  const good = vectors.flatMap((one) => one.good.map(usable))
  const members = good.map((signed) => firstPins(signed, openGrid(signed, ownText), ownText))
  const seeds = [...good, ...vectors.flatMap((one) => one.bad.map(({ signed }) => signed))]
  return {
    name: "grid descriptions of a hostile coordinator",
    seeds: seeds.map(({ payload }) => utf8(payload)).filter((bytes) => bytes.length <= maxBytes),
    maxBytes,
    run(input) {
      const payload = Buffer.from(input).toString("utf8")
      const openedIn = domains.filter((domain) => {
        const signed = signedBy(own, payload, domain)
        const grid = ours(() => openGrid(signed, ownText))
        if (!grid) return false
        refuses(signed, othersText, "is signed by a key that is not pinned")
        refuses(signedBy(others, payload, domain), ownText, "is signed by another key")
        for (const pins of members) {
          use(pins, signed, grid)
          useNext(pins, grid)
        }
        return true
      })
      if (openedIn.length > 1) throw new Error("one text was taken in the domains of two versions")
      if (openedIn.length === 0) return // nothing but its text is wrong already
      for (const { payload: before, signature } of good)
        if (payload !== before) refuses({ payload, signature }, ownText, "was changed after signing")
    },
  }
}

function signedBy(key: typeof own, payload: string, domain: string): SignedGrid {
  return { payload, signature: sign(null, concat(domainPrefix(domain), utf8(payload)), key).toString("base64") }
}

function refuses(signed: SignedGrid, key: string, what: string): void {
  if (ours(() => openGrid(signed, key))) throw new Error(`a description was taken that ${what}`)
}

/** What a member makes of a description, of which nobody is asked about what weakens nothing. */
function use(pins: Pins, signed: SignedGrid, grid: GridDescription): void {
  const offered = { grid, digest: digestOf(signed), signedBy: "pinned" as const }
  const { violations, changes } = judgeGrid(pins, offered, pins.issuedMs)
  if (violations.length + changes.length > 0) return
  assert(pins.voters !== null, "a member stores nothing, and so has nothing to hold to")
  const next = taken(pins, signed, grid)
  if (next.serial < pins.serial || next.epoch !== pins.epoch || next.descriptionVersion < pins.descriptionVersion)
    throw new Error("a member went back")
  if (!pins.revoked.every((key) => grid.revoked?.includes(key) && next.revoked.includes(key)))
    throw new Error("a revoked key came back")
  for (const [id, key] of Object.entries(pins.servers))
    if (key !== null && ![undefined, null, key].includes(next.servers[id]))
      throw new Error("a server got another key unasked")
  const standings = standingsOf(grid, next)
  if (standings.some(({ server, holds }) => holds === (server.witness === true)))
    throw new Error("a witness keeps shares, or a server none")
  absentVoters(grid, next)
  const spread = spreadOf(grid, next.voters ?? [])
  survivalIn(spread)
  domainText(domainSurvivalOf(spread), spread)
}

/** The same as the one that comes next for this member, so that nothing but what it says of the grid can be wrong. */
function useNext(pins: Pins, grid: GridDescription): void {
  const { serial, digest, epoch, issuedMs } = pins
  const next = { ...grid, serial: serial + 1, previous: digest, epoch, issuedMs }
  const signed = signGrid(next, own)
  const opened = ours(() => openGrid(signed, ownText))
  if (opened) use(pins, signed, opened)
}

/** What it gives; undefined after an error of ours. */
function ours<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (!isHoldfastError(error)) throw error
    return undefined
  }
}
