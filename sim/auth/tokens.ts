import { randomBytes } from 'node:crypto';
import type { Credentials } from './credentials.ts';

export interface Token {
  readonly text: string;
  readonly ttlMs: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly address: string | null;
  readonly singleUse: boolean;
  readonly parent: Credentials;
  readonly session: string;
  lastUsed: number;
}

/** auth.generate_token: tokens live while used, and end with the session that made them (truenas-api 3.2). */
export class Tokens {
  readonly #now: () => number;
  readonly #tokens = new Map<string, Token>();

  constructor(now: () => number) {
    this.#now = now;
  }

  create(token: Omit<Token, 'text' | 'lastUsed'>): string {
    const text = randomBytes(48).toString('base64url');
    this.#tokens.set(text, { ...token, text, lastUsed: this.#now() });
    return text;
  }

  /** The token, refreshed; undefined when unknown, timed out or used from another address. */
  use(text: string, address: string): Token | undefined {
    const token = this.#tokens.get(text);
    if (token === undefined) return undefined;
    if (this.#now() - token.lastUsed > token.ttlMs) {
      this.#tokens.delete(text);
      return undefined;
    }
    if (token.address !== null && token.address !== address) return undefined;
    token.lastUsed = this.#now();
    return token;
  }

  destroy(text: string): void {
    this.#tokens.delete(text);
  }

  sessionEnded(session: string): void {
    for (const [text, token] of this.#tokens) if (token.session === session) this.#tokens.delete(text);
  }
}
