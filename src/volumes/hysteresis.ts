/** Turns on after so many signs in a row, and off again after so many signs of the contrary: one look never decides. */
export class Hysteresis {
  readonly #looks: { readonly on: number; readonly off: number };
  #on = false;
  #run = 0;

  /** Both at least 1. */
  constructor(looks: { readonly on: number; readonly off: number }) {
    this.#looks = looks;
  }

  get on(): boolean {
    return this.#on;
  }

  /** The last looks do not agree with where it stands: it may be about to turn. */
  get turning(): boolean {
    return this.#run > 0;
  }

  /** One look; null says neither and ends a run of signs. */
  see(sign: boolean | null): void {
    if (sign === null || sign === this.#on) {
      this.#run = 0;
      return;
    }
    this.#run += 1;
    if (this.#run < (this.#on ? this.#looks.off : this.#looks.on)) return;
    this.#on = sign;
    this.#run = 0;
  }
}
