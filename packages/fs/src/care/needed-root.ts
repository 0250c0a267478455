/** What an account, or whoever asks, wants kept. */

/** A root to keep. */
export interface NeededRoot {
  /** What it is called in messages. */
  readonly label: string
  readonly cap: string
  readonly keepMs?: number | undefined
  /** In the account's list: others who write into it hold what they write for the account too. */
  readonly isOwn?: boolean
}
