import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync, mkdirSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RootedFiles } from './sys-files.ts';

let root = '';
let files: RootedFiles;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sys-files-'));
  files = new RootedFiles(root);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('RootedFiles', () => {
  it('answers null and [] for what is absent', async () => {
    await expect(files.read('/sys/none')).resolves.toBeNull();
    await expect(files.readLink('/sys/none')).resolves.toBeNull();
    await expect(files.resolve('/sys/none')).resolves.toBeNull();
    await expect(files.kind('/sys/none')).resolves.toBeNull();
    await expect(files.list('/sys/none')).resolves.toEqual([]);
    await expect(files.claimed('/sys/none')).resolves.toBe(false);
    await files.remove('/sys/none');
    files.watch('/sys/none', () => undefined)();
  });

  it('never makes a regular file out of an attribute that is not there', async () => {
    await expect(files.write('/scan', '0 0 1')).rejects.toMatchObject({ code: 'ENOENT' });
    expect(readdirSync(root)).toEqual([]);
    writeFileSync(join(root, 'scan'), '');
    await files.write('/scan', '0 0 1');
    await expect(files.read('/scan')).resolves.toBe('0 0 1');
  });

  it('replaces a file in one step with the mode asked for, and leaves no temporary file', async () => {
    writeFileSync(join(root, 'record'), 'old', { mode: 0o644 });
    await files.replace('/record', 'new\n', 0o600);
    await expect(files.read('/record')).resolves.toBe('new');
    expect(statSync(join(root, 'record')).mode & 0o777).toBe(0o600);
    expect(readdirSync(root)).toEqual(['record']);
  });

  it('sets links in one step over files and links, and makes directories', async () => {
    await files.link('/dev/pve-truenas/tn/a', '/dev/one');
    await files.link('/dev/pve-truenas/tn/a', '/dev/two');
    await expect(files.readLink('/dev/pve-truenas/tn/a')).resolves.toBe('/dev/two');
    await files.link('/x', 'iscsi://h:1/iqn/1');
    await expect(files.readLink('/x')).resolves.toBe('iscsi://h:1/iqn/1');
    expect(readdirSync(join(root, 'dev/pve-truenas/tn'))).toEqual(['a']);
    await files.remove('/x');
    await expect(files.readLink('/x')).resolves.toBeNull();
  });

  it('follows links within its root, absolute, relative and in the middle, and gives up on circles', async () => {
    mkdirSync(join(root, 'dev/disk/by-id'), { recursive: true });
    writeFileSync(join(root, 'dev/sda'), '');
    symlinkSync('../../sda', join(root, 'dev/disk/by-id/wwn'));
    symlinkSync('/dev/disk', join(root, 'disks'));
    symlinkSync('/disks/by-id/wwn', join(root, 'volume'));
    symlinkSync('circle', join(root, 'circle'));
    await expect(files.resolve('/volume')).resolves.toBe('/dev/sda');
    await expect(files.resolve('/circle')).resolves.toBeNull();
    await expect(files.kind('/dev/sda')).resolves.toBe('file');
    await expect(files.kind('/dev')).resolves.toBe('directory');
  });

  it('tells a block device from everything else', async () => {
    const real = new RootedFiles();
    await expect(real.kind('/dev/null')).resolves.toBe('other');
    const [block] = readdirSync('/sys/class/block');
    if (block !== undefined && (await real.kind(`/dev/${block}`)) !== null) await expect(real.kind(`/dev/${block}`)).resolves.toBe('block');
  });

  it('tells when something in a directory changes', async () => {
    const changed = new Promise<void>((resolve) => {
      files.watch('/', () => resolve());
    });
    writeFileSync(join(root, 'new'), '');
    await changed;
  });
});
