import { createWriteStream, type WriteStream } from 'node:fs';

/** What a fault did to an answer. */
export type Fate = 'silence' | 'cut' | 'replaced';

export interface WireLogLine {
  /** Release name: it is the name of the published schema file. */
  readonly version: string;
  readonly method: string;
  readonly params: readonly unknown[];
  readonly result?: unknown;
  readonly error?: unknown;
  /** ISO time of the answer */
  readonly time: string;
  readonly id?: unknown;
  /** id of the job whose finished result this is */
  readonly job?: number;
  /** what a fault did to the answer */
  readonly fate?: Fate;
}

/** `--wire-log FILE`: every call as one JSON line, secrets masked by the caller; readable by the owner only. */
export class WireLog {
  readonly #stream: WriteStream;
  #failed: Error | null = null;

  constructor(file: string) {
    this.#stream = createWriteStream(file, { flags: 'a', mode: 0o600 });
    this.#stream.on('error', (error) => (this.#failed = error));
  }

  write(line: WireLogLine): void {
    if (this.#failed === null) this.#stream.write(`${JSON.stringify(line)}\n`);
  }

  /** Flushes and closes. Errors: the first one that writing met. */
  async close(): Promise<void> {
    if (this.#failed === null) {
      await new Promise<void>((resolve) => {
        this.#stream.once('error', () => resolve());
        this.#stream.end(() => resolve());
      });
    }
    if (this.#failed !== null) throw this.#failed;
  }
}
