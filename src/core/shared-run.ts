/**
 * Work of which one run serves everybody who asked before it began: who asks while a run is under way gets the next one, with all others
 * that do, because the run under way may have passed already what changed since.
 */
export class SharedRun<T> {
  readonly #work: () => Promise<T>;
  #running: Promise<T> | null = null;
  #next: Promise<T> | null = null;

  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  /** Settles as a run that begins after this call does; a run before it that fails fails for those who asked for that one alone. */
  run(): Promise<T> {
    if (this.#running === null) {
      this.#running = this.#work().finally(() => (this.#running = null));
      return this.#running;
    }
    const again = (): Promise<T> => {
      this.#next = null;
      return this.run();
    };
    this.#next ??= this.#running.then(again, again);
    return this.#next;
  }
}
