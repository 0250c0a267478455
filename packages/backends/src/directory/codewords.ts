/** Finds chunks that a malicious writer made, among shares that pass in the order of their chunks: k of one tell. */
import { equal, toHex } from "@holdfast/core"
import { type CodewordDeps, isCodeword, type Share } from "@holdfast/protocol"

/** Looks at good shares, those of a chunk one after another. */
export class Codewords {
  readonly #deps: CodewordDeps
  readonly #onInconsistent: (chunk: string) => void
  /** At most k shares of the chunk that passes, so never more than a chunk's bytes. */
  #held: Share[] = []

  constructor(deps: CodewordDeps, onInconsistent: (chunk: string) => void) {
    this.#deps = deps
    this.#onInconsistent = onInconsistent
  }

  async add(share: Share): Promise<void> {
    const [first] = this.#held
    if (first && !equal(first.id, share.id)) this.#held = []
    if (this.#held.length >= share.descriptor.k) return
    this.#held.push(share)
    if (this.#held.length === share.descriptor.k && !(await isCodeword(this.#deps, this.#held)))
      this.#onInconsistent(toHex(share.id))
  }

  /** No share of the chunk that passed last comes any more. */
  end(): void {
    this.#held = []
  }
}
