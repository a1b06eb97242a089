import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RootedFiles } from '../sys-files.ts';
import { holdersOf } from './holders.ts';

/** Counts how often all processes are looked at; the first look goes on when so many have asked for one. */
class CountingFiles extends RootedFiles {
  looks = 0;
  #yetToAsk: number;
  #allAsked: () => void = () => undefined;
  readonly #asked = new Promise<void>((resolve) => (this.#allAsked = resolve));
  constructor(root: string, askers: number) {
    super(root);
    this.#yetToAsk = askers;
  }
  override async list(path: string): Promise<readonly string[]> {
    const names = await super.list(path);
    // the last thing that each of them reads before it asks
    if (path === '/sys/class/block' && (this.#yetToAsk -= 1) === 0) setImmediate(this.#allAsked);
    if (path === '/proc') {
      this.looks += 1;
      await this.#asked;
    }
    return names;
  }
}

/** A node that shows one descriptor to nobody. */
class HidingFiles extends RootedFiles {
  readonly code: string;
  readonly hidden: string;
  constructor(root: string, code: string, hidden = '/proc/1/fd/0') {
    super(root);
    this.code = code;
    this.hidden = hidden;
  }
  override linksIn(path: string): Promise<readonly string[]> {
    return path === dirname(this.hidden) ? this.#refusal() : super.linksIn(path);
  }
  override readLink(path: string): Promise<string | null> {
    return path === this.hidden ? this.#refusal() : super.readLink(path);
  }
  #refusal(): Promise<never> {
    return Promise.reject(Object.assign(new Error(this.hidden), { code: this.code }));
  }
}

describe('holdersOf', () => {
  let root = '';
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'holders-'));
    for (const pid of ['1', '77']) await mkdir(join(root, `proc/${pid}/fd`), { recursive: true });
    await writeFile(join(root, 'proc/1/fd/0'), '');
    await writeFile(join(root, 'proc/77/comm'), 'kvm\n');
    await symlink('/dev/sda', join(root, 'proc/77/fd/12'));
  });
  afterEach(async () => {
    await rm(root, { recursive: true });
  });

  it('still finds a guest when the descriptors of another process are hidden even from root', async () => {
    expect(await holdersOf(new HidingFiles(root, 'EACCES'), ['sda'])).toEqual(['kvm (process 77)']);
    expect(await holdersOf(new HidingFiles(root, 'EPERM'), ['sda'])).toEqual(['kvm (process 77)']);
  });

  it('still finds a guest of whose descriptors one is hidden, whichever comes first', async () => {
    await symlink('socket:[1]', join(root, 'proc/77/fd/1'));
    await symlink('socket:[2]', join(root, 'proc/77/fd/99'));
    for (const descriptor of [1, 99]) {
      expect(await holdersOf(new HidingFiles(root, 'EACCES', `/proc/77/fd/${descriptor}`), ['sda'])).toEqual(['kvm (process 77)']);
    }
  });

  it('looks at all processes twice for 40 volumes at once: who asks while one looks shares the next look', async () => {
    const files = new CountingFiles(root, 40);
    const asked = Array.from({ length: 40 }, (_, index) => holdersOf(files, [index === 7 ? 'sda' : `sdx${index}`]));
    const found = await Promise.all(asked);
    expect(found.flat()).toEqual(['kvm (process 77)']);
    expect(found[7]).toHaveLength(1);
    expect(files.looks).toBe(2);
  });

  it('sees who opens a device after somebody else began to look', async () => {
    const files = new RootedFiles(root);
    const before = holdersOf(files, ['sdb']);
    await symlink('/dev/sdb', join(root, 'proc/77/fd/13'));
    expect(await holdersOf(files, ['sdb'])).toEqual(['kvm (process 77)']);
    await before;
  });

  it('fails when it cannot look for another reason: that is not "nobody"', async () => {
    await expect(holdersOf(new HidingFiles(root, 'EIO'), ['sda'])).rejects.toThrow('/proc/1/fd/0');
  });
});
