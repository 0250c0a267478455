/** What the suites of the backend contract are given. */
import type { TestContext } from "node:test"
import type { Backend } from "../backend.ts"
import type { TestAccount } from "./accounts.ts"

/** A place under test. */
export interface ContractPlace {
  /** The place as `account` sees it; closed with the place. */
  backendOf(account: TestAccount): Promise<Backend>
  /** Moves the place's clock. Absent where nobody can: then what needs an old mark is not tried. */
  readonly advance?: (ms: number) => void
  close(): Promise<void>
}

/** What differs between kinds of places. */
export interface ContractOptions {
  /** Opens one where no account may be charged more than that. Absent where a kind of place knows no quotas. */
  readonly limited?: (quotaBytes: number) => Promise<ContractPlace>
  /**
   * What the kind of place cannot enforce, so that it is left to its clients: "roles" (whoever has the credentials may do all),
   * "batches" (it does not know when marks go while their command runs), "kept" (it keeps all values until they are trimmed),
   * "charges" (it knows who holds a chunk, not who stored which share of it for whom).
   */
  readonly cannot?: readonly ("roles" | "batches" | "kept" | "charges")[]
}

/** A place with one account that has all roles. */
export interface OpenedPlace {
  readonly place: ContractPlace
  readonly account: TestAccount
  readonly backend: Backend
}

/** Opens a place for a test. */
export type Opened = (t: TestContext) => Promise<OpenedPlace>
