import { unusable } from '../../setup/answers.ts';
import type { CliIo } from '../io.ts';
import { clean } from '../render/text.ts';

export interface Question {
  readonly text: string;
  /** Taken when nothing is typed. */
  readonly fallback?: string;
  /** Why an answer cannot be used, null: it can. */
  readonly wrong: (answer: string) => string | null;
}

const TRIES = 3;

/** Questions at a terminal. Ctrl-C ends it with SETUP_INTERRUPTED; a question that is answered wrongly three times with SETUP_ANSWERS. */
export class Interview {
  readonly #io: CliIo;
  readonly #stop: AbortSignal;
  /** Whether any answer came from here rather than from a file or flag. */
  asked = false;

  private constructor(io: CliIo, stop: AbortSignal) {
    this.#io = io;
    this.#stop = stop;
  }

  /** Null where nobody sits at a terminal. */
  static at(io: CliIo, stop: AbortSignal): Interview | null {
    return 'ask' in io && 'askSecret' in io ? new Interview(io, stop) : null;
  }

  async ask({ text, fallback, wrong }: Question): Promise<string> {
    this.asked = true;
    for (let left = TRIES; left > 0; left -= 1) {
      const typed = (await this.#line(`${text}${fallback === undefined ? '' : ` [${clean(fallback)}]`}: `)).trim();
      const answer = typed === '' ? (fallback ?? '') : typed;
      const why = answer === '' ? 'an answer is needed' : wrong(answer);
      if (why === null) return answer;
      this.say(`  ${clean(why)}`);
    }
    throw unusable(`'${text}' was not answered`);
  }

  /** Not shown while it is typed. */
  secret(text: string): Promise<string> {
    return this.#typed(this.#io.askSecret?.(`${text}: `));
  }

  /** Only a plain yes is one. */
  async agrees(text: string): Promise<boolean> {
    return /^y(es)?$/i.test((await this.#line(`${text} [y/N] `)).trim());
  }

  say(text: string): void {
    this.#io.out(`${text}\n`);
  }

  #line(question: string): Promise<string> {
    return this.#typed(this.#io.ask?.(question));
  }

  async #typed(answer: Promise<string> | undefined): Promise<string> {
    const typed = (await answer) ?? '';
    this.#stop.throwIfAborted();
    return typed;
  }
}
