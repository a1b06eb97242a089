/** Lets any number of callers wait for the next change of something. */
export class Changes {
  readonly #waiting = new Set<() => void>();

  tell(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** True at the next change, false when `signal` aborts first. */
  next(signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (changed: boolean): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', onAbort);
        resolve(changed);
      };
      const wake = (): void => end(true);
      const onAbort = (): void => end(false);
      if (signal.aborted) {
        resolve(false);
        return;
      }
      this.#waiting.add(wake);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}
