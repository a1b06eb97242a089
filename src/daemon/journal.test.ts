import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { OpenOperation } from '../core/journal-port.ts';
import { createLog } from '../observe/log.ts';
import { FileJournal } from './journal.ts';

const ENTRY: OpenOperation = {
  id: '0b6a1f4e-6a39-4c7e-9d6b-2f1d7e5c9a10',
  kind: 'allocate',
  begun: 1_700_000_000_000,
  node: 'pve1',
  storage: 'nas',
  section: { dataset: 'tank/proxmox' },
  zvol: 'tank/proxmox/vm-100-disk-0',
  target: 1,
};

describe('FileJournal', () => {
  let directory = '';
  let lines: string[] = [];
  const open = (): Promise<FileJournal> =>
    FileJournal.open(
      directory,
      createLog('debug', 'journal', (line) => void lines.push(line)),
    );
  beforeEach(async () => {
    directory = join(await mkdtemp(join(tmpdir(), 'journal-')), 'journal');
    lines = [];
  });
  afterEach(() => rm(join(directory, '..'), { recursive: true }));

  it('keeps an entry for the next daemon until it is ended, readable by root alone', async () => {
    await (await open()).begin(ENTRY);
    const next = await open();
    expect(await next.list()).toEqual([ENTRY]);
    expect(next.summary).toEqual({ entries: 1, oldest: ENTRY.begun });
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect((await stat(join(directory, `${ENTRY.id}.json`))).mode & 0o777).toBe(0o600);
    await next.end(ENTRY.id);
    await next.end(ENTRY.id);
    expect(await readdir(directory)).toEqual([]);
    expect(next.summary).toEqual({ entries: 0, oldest: null });
  });

  it('removes what a daemon that was killed had only begun to write, and nothing else', async () => {
    await (await open()).begin(ENTRY);
    const others = ['notes.json.new', `${ENTRY.id}.json.old`];
    for (const name of [...others, `${ENTRY.id.replace('0b', '1c')}.json.new`]) await writeFile(join(directory, name), '{"id":');
    const next = await open();
    expect((await readdir(directory)).sort()).toEqual([`${ENTRY.id}.json`, ...others].sort());
    expect(await next.list()).toEqual([ENTRY]);
  });

  it.each([
    ['cut', '{"id":'],
    ['of another shape', JSON.stringify({ ...ENTRY, kind: 'rename' })],
    ['empty', ''],
    ['huge', `"${'x'.repeat(2 ** 20)}"`],
  ])('keeps an entry that is %s, reports it and goes on with the others', async (_, text) => {
    await (await open()).begin(ENTRY);
    const strange = `${ENTRY.id.replace('0b', '1c')}.json`;
    await writeFile(join(directory, strange), text);
    expect(await (await open()).list()).toEqual([ENTRY]);
    expect(await readdir(directory)).toContain(strange);
    expect(lines.join('')).toContain(strange);
  });

  it('fails to open where the directory cannot be', async () => {
    await writeFile(directory, '');
    await expect(open()).rejects.toMatchObject({ code: 'EEXIST' });
  });
});
