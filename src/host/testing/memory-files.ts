import type { NodeKind, SysFiles } from '../sys-files.ts';

type Entry =
  | { readonly kind: 'file'; text: string; readonly mode: number }
  | { readonly kind: 'block' }
  | { readonly kind: 'link'; readonly text: string };

/** An error as node:fs throws it. */
export function fileError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

/** The files of a node in memory. Directories exist while something is in them. */
export class MemoryFiles implements SysFiles {
  readonly #entries = new Map<string, Entry>();
  readonly #watchers = new Set<{ readonly path: string; readonly changed: (name: string | null) => void }>();
  /** Attributes of the kernel: true when the write was taken as an order to it. */
  onWrite: (path: string, text: string) => boolean | Promise<boolean> = () => false;
  /** Devices that an exclusive opener has. */
  readonly exclusive = new Set<string>();

  // What a test or the fake kernel does.

  put(path: string, text: string, mode = 0o644): void {
    this.#set(path, { kind: 'file', text, mode });
  }

  putLink(path: string, text: string): void {
    this.#set(path, { kind: 'link', text });
  }

  putBlock(path: string): void {
    this.#set(path, { kind: 'block' });
  }

  /** Removes a path and all below it. */
  drop(path: string): void {
    for (const key of [...this.#entries.keys()]) if (key === path || key.startsWith(`${path}/`)) this.#entries.delete(key);
    this.#notify(path);
  }

  mode(path: string): number | null {
    const entry = this.#entries.get(path);
    return entry?.kind === 'file' ? entry.mode : null;
  }

  paths(prefix: string): readonly string[] {
    return [...this.#entries.keys()].filter((path) => path.startsWith(prefix)).sort();
  }

  // SysFiles

  read(path: string): Promise<string | null> {
    const entry = this.#entry(path);
    return Promise.resolve(entry?.kind === 'file' ? entry.text.trimEnd() : null);
  }

  async write(path: string, text: string): Promise<void> {
    if (await this.onWrite(path, text)) return;
    const real = this.#real(path);
    if (this.#entries.get(real)?.kind !== 'file') throw fileError('ENOENT', path);
    this.put(real, text);
  }

  replace(path: string, text: string, mode: number): Promise<void> {
    this.put(path, text, mode);
    return Promise.resolve();
  }

  list(path: string): Promise<readonly string[]> {
    const prefix = `${this.#real(path)}/`;
    const names = new Set<string>();
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) names.add(key.slice(prefix.length).split('/')[0] ?? '');
    return Promise.resolve([...names].sort());
  }

  readLink(path: string): Promise<string | null> {
    const entry = this.#entries.get(this.#parentReal(path));
    return Promise.resolve(entry?.kind === 'link' ? entry.text : null);
  }

  async linksIn(path: string): Promise<readonly string[]> {
    const texts = await Promise.all((await this.list(path)).map((name) => this.readLink(`${path}/${name}`)));
    return texts.filter((text) => text !== null);
  }

  resolve(path: string): Promise<string | null> {
    const real = this.#real(path);
    return Promise.resolve(this.#kind(real) === null ? null : real);
  }

  kind(path: string): Promise<NodeKind | null> {
    return Promise.resolve(this.#kind(this.#real(path)));
  }

  link(path: string, text: string): Promise<void> {
    this.putLink(path, text);
    return Promise.resolve();
  }

  remove(path: string): Promise<void> {
    this.#entries.delete(this.#parentReal(path));
    this.#notify(path);
    return Promise.resolve();
  }

  async claimed(path: string): Promise<boolean> {
    return this.exclusive.has((await this.resolve(path)) ?? path);
  }

  watch(path: string, changed: (name: string | null) => void): () => void {
    const watcher = { path, changed };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #set(path: string, entry: Entry): void {
    this.#entries.set(path, entry);
    this.#notify(path);
  }

  #notify(path: string): void {
    const slash = path.lastIndexOf('/');
    for (const watcher of this.#watchers) if (path.slice(0, slash) === watcher.path) watcher.changed(path.slice(slash + 1));
  }

  #entry(path: string): Entry | undefined {
    return this.#entries.get(this.#real(path));
  }

  #kind(real: string): NodeKind | null {
    const entry = this.#entries.get(real);
    if (entry !== undefined) return entry.kind === 'link' ? null : entry.kind;
    for (const key of this.#entries.keys()) if (key.startsWith(`${real}/`)) return 'directory';
    return null;
  }

  #parentReal(path: string): string {
    const cut = path.lastIndexOf('/');
    return `${this.#real(path.slice(0, cut))}${path.slice(cut)}`;
  }

  #real(path: string): string {
    let todo = path.split('/').filter((part) => part !== '');
    let done: string[] = [];
    for (let steps = 0; todo.length > 0 && steps < 100; steps += 1) {
      const [part = '', ...rest] = todo;
      todo = rest;
      if (part === '..') done.pop();
      else {
        const entry = this.#entries.get(`/${[...done, part].join('/')}`);
        if (entry?.kind === 'link') {
          if (entry.text.startsWith('/')) done = [];
          todo = [...entry.text.split('/').filter((piece) => piece !== ''), ...todo];
        } else done.push(part);
      }
    }
    return done.length === 0 ? '' : `/${done.join('/')}`;
  }
}
