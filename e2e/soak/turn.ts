/** One at a time, in the order of asking. */
export class Turn {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs `work` when everybody who asked before is ready. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#last.then(work)
    this.#last = next.catch(() => undefined)
    return next
  }
}
