/** What whoever administers a place of one user may do with the accounts there: a bucket's or directory's owner, with nobody between. */
import type { AccountId, AccountInfo, CallOptions } from "@holdfast/protocol"

/** Accounts at one place, as whoever administers it sees them. */
export interface PlaceAccounts {
  /** All of them with what they hold; `seenDay` is when one last stored something. */
  list(options?: CallOptions): Promise<AccountInfo[]>
  /** Drops an account: what it holds goes when the grace is over, counted from now unless it is dropped already. */
  drop(account: AccountId, options?: CallOptions): Promise<void>
  /** Undoes a drop whose time is not over. */
  keep(account: AccountId, options?: CallOptions): Promise<void>
  close(): Promise<void>
}
