import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RootedFiles } from '../sys-files.ts';
import { holdersOf } from './holders.ts';

/** A node on which the first process shows its descriptors to nobody. */
class HidingFiles extends RootedFiles {
  readonly code: string;
  constructor(root: string, code: string) {
    super(root);
    this.code = code;
  }
  override readLink(path: string): Promise<string | null> {
    if (path.startsWith('/proc/1/fd/')) return Promise.reject(Object.assign(new Error(path), { code: this.code }));
    return super.readLink(path);
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

  it('fails when it cannot look for another reason: that is not "nobody"', async () => {
    await expect(holdersOf(new HidingFiles(root, 'EIO'), ['sda'])).rejects.toThrow('/proc/1/fd/0');
  });
});
