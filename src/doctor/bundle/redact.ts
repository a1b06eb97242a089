const REMOVED = '<removed>';

/** Characters of a secret that may be left standing in a row; a shorter secret is removed as a whole. */
const RUN = 8;
/** Shorter than this no text is taken for a secret: it would tear holes into everything. */
const SHORTEST = 4;
/** bytes; what is longer is no secret of a storage */
const LONGEST = 8 * 1024;

/** Names whose value is a secret, whatever it is; the prefix is bounded so that no text takes long. */
const NAME = String.raw`(?:[a-z0-9_.[\]-]{0,64}[_.-])?(?:api[_-]?key|apikey|key|pass(?:word|wd|phrase)?(?:_in)?|secret|token|credential|cookie|authorization)`;
const VALUE = String.raw`(?!<removed>)(\\{1,8}"[^"\n]*"|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|(?:bearer|basic|pveapitoken)[ \t=]+[^\s"',;}]+|[^\s"',;&})]+)`;
/** `key = value`, `key: value`, `"key": "value"`, `?key=value&`. */
const ASSIGNED = new RegExp(String.raw`((?:^|[^a-z0-9])${NAME}\\?["']?[ \t]*[=:][ \t]*)${VALUE}`, 'gim');
/** `--key value`, and a line of storage.cfg or of a configuration file: `key value`. */
const FOLLOWED = new RegExp(String.raw`((?:^[ \t]*|[ \t"'](?:--?))${NAME}[ \t]+)${VALUE}`, 'gim');
/** `api_key value`, `chap-password value` within a sentence; `API key is missing` is none. */
const JOINED = new RegExp(String.raw`(\b[a-z0-9]{1,32}[_-](?:key|pass(?:word|wd)?|secret|token)[ \t]+)${VALUE}`, 'gim');
const URL_USER = /\b([a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/@"'<>]{1,1000}@/gi;
const TRUENAS_KEY = /\b\d{1,10}-[A-Za-z0-9]{40,128}\b/g;
const BEARER = /\b(bearer|basic)[ \t]+[A-Za-z0-9+/=._~-]{8,}/gi;
const PEM_KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;

/**
 * Takes secrets out of texts: those that are known, in every spelling in which they may appear, whole or in part, and whatever looks like
 * one by its name or its form. Rather too much than too little.
 */
export class Redactor {
  /** Every run of RUN characters of every spelling of every secret. */
  readonly #runs = new Set<string>();
  /** Secrets that are shorter than a run. */
  readonly #short: string[] = [];
  #removed = 0;

  constructor(secrets: Iterable<string>) {
    for (const secret of secrets) {
      if (secret.length < SHORTEST || secret.length > LONGEST) continue;
      for (const spelling of spellings(secret)) this.#learn(spelling);
    }
    this.#short.sort((a, b) => b.length - a.length);
  }

  /** How many places were removed so far. */
  get removed(): number {
    return this.#removed;
  }

  /** The text without secrets. */
  clean(text: string): string {
    const known = this.#withoutKnown(text);
    return known
      .replace(PEM_KEY, () => this.#mark())
      .replace(URL_USER, (_all, scheme: string) => `${scheme}${this.#mark()}@`)
      .replace(ASSIGNED, (_all, name: string) => `${name}${this.#mark()}`)
      .replace(FOLLOWED, (_all, name: string) => `${name}${this.#mark()}`)
      .replace(JOINED, (_all, name: string) => `${name}${this.#mark()}`)
      .replace(BEARER, (_all, scheme: string) => `${scheme} ${this.#mark()}`)
      .replace(TRUENAS_KEY, () => this.#mark());
  }

  #learn(spelling: string): void {
    if (spelling.length < RUN) {
      if (spelling.length >= SHORTEST) this.#short.push(spelling);
      return;
    }
    for (let at = 0; at + RUN <= spelling.length; at += 1) this.#runs.add(spelling.slice(at, at + RUN));
  }

  #mark(): string {
    this.#removed += 1;
    return REMOVED;
  }

  /** Every place that a run of a known secret covers becomes one mark. */
  #withoutKnown(text: string): string {
    let rest = text;
    for (const short of this.#short) rest = rest.split(short).join(REMOVED);
    if (rest !== text) this.#removed += 1;
    if (this.#runs.size === 0) return rest;
    const parts: string[] = [];
    let copied = 0;
    let at = 0;
    while (at + RUN <= rest.length) {
      if (!this.#runs.has(rest.slice(at, at + RUN))) {
        at += 1;
        continue;
      }
      parts.push(rest.slice(copied, at), this.#mark());
      let end = at + RUN;
      while (end < rest.length && this.#runs.has(rest.slice(end - RUN + 1, end + 1))) end += 1;
      copied = end;
      at = end;
    }
    parts.push(rest.slice(copied));
    return parts.join('');
  }
}

/** A secret as programs write it: itself, quoted for JSON and URLs, in hexadecimal, and in base64 at each of the three positions. */
function spellings(secret: string): readonly string[] {
  const bytes = Buffer.from(secret, 'utf8');
  const hex = bytes.toString('hex');
  const found = new Set([secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), hex, hex.toUpperCase()]);
  found.add(Array.from(secret).reverse().join(''));
  for (const before of [0, 1, 2]) {
    // what stands beside it changes the first and the last characters: only those in between are sure
    const coded = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const first = before === 0 ? 0 : before + 1;
    const last = (before + bytes.length) % 3 === 0 ? coded.length : coded.length - 1;
    const sure = coded.slice(first, last);
    found.add(sure);
    found.add(sure.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return [...found];
}
