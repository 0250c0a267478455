/** `holdfast recovery kit`. */

import { shortId } from "@holdfast/client/kits"
import { type MadeKit, makeRecoveryKit, type SecretWish } from "@holdfast/client/recovery"
import { HoldfastError, isHoldfastError } from "@holdfast/core"
import { createSecretFile } from "@holdfast/core/node"
import { advised } from "../../advice.ts"
import type { Context } from "../../context.ts"
import { readNewPassphrase } from "../../passphrase.ts"
import { plural } from "../../words.ts"

/** What was typed. */
export interface KitFlags {
  readonly name: string
  readonly wordsFile?: string
  readonly out?: string
  readonly newWords?: boolean
  readonly passphrase?: boolean
  readonly kitPassphraseFile?: string
  readonly withoutPassphrase?: boolean
  readonly withBucketKeys?: boolean
  readonly withoutBucketKeys?: boolean
  readonly replace?: boolean
}

/** Makes a kit and says what became of it. */
export async function makeKit(context: Context, flags: KitFlags): Promise<void> {
  const { name, replace = false, wordsFile = flags.out } = flags
  const protection = await wishOf(flags)
  const session = await context.openSession()
  const file = wordsFile === undefined ? undefined : await createSecretFile(wordsFile)
  try {
    const withBucketKeys = flags.withBucketKeys ? true : flags.withoutBucketKeys ? false : undefined
    const tell = async (words: string) => {
      if (file) await file.write(`${words}\n`)
      else if (!context.json) context.output({}, wordLines(words, undefined)) // JSON is one document, at the end
    }
    const options = { name, protection, withBucketKeys, replace, nowMs: Date.now(), tell }
    const made = await makeRecoveryKit(session, options).catch((error: unknown) => {
      throw isHoldfastError(error) ? advised(error) : error
    })
    report(context, { made, name, volume: session.volume, wordsFile })
  } finally {
    await file?.close()
  }
}

async function wishOf(flags: KitFlags): Promise<SecretWish> {
  const isOwn = flags.passphrase === true || flags.kitPassphraseFile !== undefined
  if ([isOwn, flags.newWords, flags.withoutPassphrase].filter(Boolean).length > 1)
    throw invalid("--passphrase or --kit-passphrase-file, --new-words and --without-passphrase exclude each other.")
  if (flags.withBucketKeys && flags.withoutBucketKeys)
    throw invalid("--with-bucket-keys and --without-bucket-keys exclude each other.")
  if (flags.withBucketKeys && flags.withoutPassphrase)
    throw invalid("Keys of buckets go into a kit with words or a passphrase only.")
  if (flags.withoutPassphrase) return { kind: "none" }
  if (flags.newWords) return { kind: "new-words" }
  if (!isOwn) return { kind: "same" }
  return { kind: "passphrase", passphrase: await readNewPassphrase(flags.kitPassphraseFile) }
}

interface Report {
  readonly made: MadeKit
  readonly name: string
  readonly volume: string
  readonly wordsFile: string | undefined
}

function report(context: Context, { made, name, volume, wordsFile }: Report): void {
  const { id, threshold, places, seen, protection, words, parties, bucketKeys, left } = made
  const good = places.filter(({ why }) => why === undefined).length
  const lines = [
    `The recovery kit ${name} (${shortId(made)}) lies on ${good} of the ${places.length} places of ${volume}: any ${threshold} of them ${secretText(protection)} restore this profile.`,
    ...(wordsFile === undefined ? [] : wordLines(words, wordsFile)),
    ...(protection === "none" ? [`Whoever gets ${parties} of their different keys can read it.`] : []),
    ...places.flatMap(({ id: place, why }) =>
      why === undefined ? [] : [`  without a part of it, perhaps with one of the kit before: ${place}: ${why}`],
    ),
    ...(seen === "none"
      ? ["What was seen of trees did not fit: a restored profile believes its places at first."]
      : []),
    ...(bucketKeys.count > 0 ? [`In it are the keys of ${plural(bucketKeys.count, "bucket")}.`] : []),
    ...bucketKeys.missing.map(({ place, why }) => `  without the keys of ${place}: ${why}`),
    ...leftLines(made, name),
    "Make it anew when aliases or volumes have changed; `holdfast doctor` says when. The words or the passphrase stay the same.",
  ]
  const isShown = words !== undefined && wordsFile === undefined
  context.output(
    {
      ...{ id, name, volume, threshold, places, seen, protection, parties },
      passphrase: protection !== "none",
      ...(isShown && { words }),
      bucketKeys,
      earlier: { erased: left.erased, notErased: left.failed, isForeignOpen: left.isForeignOpen },
    },
    lines,
  )
}

function secretText(protection: MadeKit["protection"]): string {
  const texts = {
    words: "and the words",
    passphrase: "and the passphrase",
    same: "and the words or passphrase of the kit before",
    none: "alone",
  }
  return texts[protection]
}

function wordLines(words: string | undefined, file: string | undefined): string[] {
  if (words === undefined) return []
  if (file !== undefined)
    return [`Its words are in ${file}. Keep them apart from this machine; nobody can make them again.`]
  const about = "The words of the new recovery kit, shown this once. Write them on paper; nobody can make them again:"
  return [about, "", `  ${words}`, ""]
}

function leftLines({ left }: MadeKit, name: string): string[] {
  const { erased, failed, isForeignOpen } = left
  return [
    ...(erased > 0 ? [`The kit before is erased on ${plural(erased, "place")}.`] : []),
    ...(failed.length > 0 ? ["These places may still hold a part of a kit before:"] : []),
    ...failed.map(({ place, why }) => `  ${place}: ${why}`),
    ...(failed.length > 0 ? ["The next `holdfast recovery kit` tries those it reaches again."] : []),
    ...(isForeignOpen
      ? [
          `A kit "${name}" of the old kind lies there too, which whoever may read the places can find; this profile did not make it. If it is yours, erase it: the same command with --replace.`,
        ]
      : []),
  ]
}

function invalid(message: string): HoldfastError {
  return new HoldfastError("ERR_INVALID_ARGUMENT", message)
}
