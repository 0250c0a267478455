/** `holdfast recovery`: a profile's secrets split over the places of a volume, and back on another machine. */
import type { Command } from "commander"
import type { Context } from "../../context.ts"
import { type KitFlags, makeKit } from "./recovery-kit.ts"
import { type RestoreFlags, restore } from "./recovery-restore.ts"
import { type TestFlags, testKit } from "./recovery-test.ts"

const passphraseFileFlag = "--kit-passphrase-file <file>"

/** Adds the commands. */
export function register(program: Command, context: Context): void {
  const recovery = program.command("recovery").description("bring a profile's keys back after the machine is lost")
  recovery.addHelpText(
    "after",
    `
A recovery kit is what a profile needs on a new machine: its aliases with their capabilities, its volumes, its convergence
secret, and how to know its grid again. It lies encrypted on the places of a volume, its key split so that f+1 of them restore
it, where f is how many the volume survives. Twelve words that are printed once, or a passphrase of your own, open it and say
where it lies: who merely may read the places, such as another member of your tenant, does not even find it. Certificates are
not in it, keys of buckets only with --with-bucket-keys.

Examples:
  holdfast recovery kit
  holdfast recovery kit --volume clouds --with-bucket-keys
  holdfast recovery kit --volume clouds --name laptop --words-file words.txt
  holdfast recovery kit --kit-passphrase-file pass.txt
  holdfast recovery test --volume clouds
  holdfast recovery restore --backend 's3://a?endpoint=https://s3.example.org&profile=a' dir:/mnt/b
  holdfast recovery restore --backend dir:/mnt/b dir:/mnt/c --name laptop --profile new --kit-passphrase-file words.txt
  holdfast recovery restore --backend dir:/mnt/b dir:/mnt/c --only-named
  holdfast recovery restore --volume grid
`,
  )
  recovery
    .command("kit")
    .description("split the profile's keys over the places of a volume; replaces its earlier kit")
    .option("--name <kit>", "name of the kit", "main")
    .option("--out <file>", "write new words into this new file, readable by you only, instead of showing them")
    .option("--words-file <file>", "the same as --out")
    .option("--new-words", "make new words although the kit has some already")
    .option("--passphrase", "ask for a passphrase of your own instead of words")
    .option(passphraseFileFlag, "file that holds it; - is stdin")
    .option("--without-passphrase", "neither words nor passphrase; only where no few parties can read it")
    .option("--with-bucket-keys", "put the keys of your buckets in too; stays so for later kits")
    .option("--without-bucket-keys", "leave them out again")
    .option("--replace", "replace a kit of this name that another profile made")
    .action((flags: KitFlags) => makeKit(context, flags))
  recovery
    .command("test")
    .description("say which places hold a good part, and whether they would restore")
    .option("--name <kit>", "name of the kit", "main")
    .option("--backend <places...>", "places to ask instead of those of a volume; see holdfast volume --help")
    .option("--passphrase", "ask for words or passphrase, of a kit that this profile did not make")
    .option(passphraseFileFlag, "file that holds them; - is stdin")
    .action((flags: TestFlags) => testKit(context, flags))
  recovery
    .command("restore")
    .description("make a profile from the kit that the places hold; asks for its words or passphrase")
    .option("--backend <places...>", "f+1 of its places; see holdfast volume --help. Else those of --volume")
    .option("--name <kit>", "name of the kit", "main")
    .option("--id <id>", "first digits of the kit that is meant, when there are several")
    .option("--passphrase", "ask for words or passphrase, as without it")
    .option(passphraseFileFlag, "file that holds them; - is stdin")
    .option("--without-passphrase", "take a kit that was made without")
    .option("--only-named", "give up the places that are not named: the volume then lies on the others alone")
    .option("--overwrite", "replace aliases and volumes of an existing profile that have the same names")
    .option("--yes", "use keys of buckets at hosts that are new here, without asking")
    .action((flags: RestoreFlags) => restore(context, flags))
}
