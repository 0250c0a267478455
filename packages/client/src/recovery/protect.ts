/** What protects a recovery kit: words, unless the user chose a passphrase or nothing. */
import { fromHex } from "@holdfast/core"
import { nodeCrypto } from "@holdfast/core/node"
import { recoveryPassphraseParameters } from "@holdfast/protocol"
import type { KitSecret } from "../kits/kit.ts"
import type { KitKeys } from "../kits/kit-memory.ts"
import { keyOfPassphrase } from "../profile/sealed-secrets.ts"
import { refuseWeak } from "./strength.ts"
import { newWords, normalSecret } from "./words.ts"

/** What the user wants. */
export type SecretWish =
  /** What the kit before has, so that nobody has to write again; without one new words. */
  | { readonly kind: "same" }
  | { readonly kind: "new-words" }
  | { readonly kind: "passphrase"; readonly passphrase: string }
  | { readonly kind: "none" }

/** What it came to. */
export interface ChosenSecret {
  readonly kind: "same" | "words" | "passphrase" | "none"
  /** Absent for a kit that is not protected. */
  readonly master?: Uint8Array
  /** New words, to be shown once. */
  readonly words?: string
}

/** Chooses it. Throws ERR_INVALID_ARGUMENT for a weak passphrase, ERR_WRONG_PASSPHRASE for words with a typing error. */
export async function chooseSecret(
  wish: SecretWish,
  { name, before }: { readonly name: string; readonly before: Pick<KitKeys, "master"> },
): Promise<ChosenSecret> {
  if (wish.kind === "none") return { kind: "none" }
  if (wish.kind === "same" && before.master !== undefined) return { kind: "same", master: fromHex(before.master) }
  if (wish.kind === "passphrase") {
    const secret = await normalSecret(wish.passphrase)
    await refuseWeak(secret)
    return { kind: "passphrase", master: await masterOf(secret, name) }
  }
  const words = await newWords(nodeCrypto)
  return { kind: "words", words, master: await masterOf(words, name) }
}

/** The master key of the words or passphrase of the kit called `name`. Takes a second, on purpose. */
export async function masterOf(secret: string, name: string): Promise<Uint8Array> {
  return (await keyOfPassphrase(secret, recoveryPassphraseParameters(name))).master
}

/** What opens a kit called `name` of any version. */
export async function secretFor(passphrase: string, name: string): Promise<KitSecret> {
  return {
    master: await masterOf(passphrase, name),
    masterBy: async (parameters) => (await keyOfPassphrase(passphrase, parameters)).master,
  }
}
