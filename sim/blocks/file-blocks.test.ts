import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { FileBlocks } from './file-blocks.ts';

const MIB = 1_048_576;
const made: string[] = [];

async function store(): Promise<FileBlocks> {
  const directory = await mkdtemp(path.join(tmpdir(), 'blocks-test-'));
  made.push(directory);
  const blocks = new FileBlocks(path.join(directory, 'blocks'));
  await blocks.prepare();
  return blocks;
}

afterEach(async () => {
  for (const directory of made.splice(0)) await rm(directory, { recursive: true, force: true });
});

describe('volumes as sparse files', () => {
  it('take no space until written', async () => {
    const blocks = await store();
    await blocks.create('1', 64 * MIB);
    expect((await stat(blocks.path('1'))).size).toBe(64 * MIB);
    expect(blocks.allocated('1')).toBeLessThan(MIB);
    expect(blocks.allocated('none')).toBe(0);
  });

  it('copy and restore their data, and stay sparse', async () => {
    const blocks = await store();
    await blocks.create('1', 64 * MIB);
    await writeFile(blocks.path('1'), 'before', { flag: 'r+' });
    await blocks.copy('1', '2');
    await writeFile(blocks.path('1'), 'after!', { flag: 'r+' });
    expect((await readFile(blocks.path('2'))).subarray(0, 6).toString()).toBe('before');
    const generation = blocks.generation('1');
    await blocks.restore('2', '1');
    expect((await readFile(blocks.path('1'))).subarray(0, 6).toString()).toBe('before');
    expect(blocks.generation('1')).not.toBe(generation);
    expect(blocks.allocated('1')).toBeLessThan(MIB);
  });

  it('are made good at a start: missing ones, wrong sizes, files of nobody', async () => {
    const blocks = await store();
    await blocks.create('1', MIB);
    await blocks.create('9', MIB);
    await writeFile(`${blocks.path('1')}.new`, 'half a copy');
    await truncate(blocks.path('1'), 5);
    await blocks.prune(new Set(['1', '2']));
    await blocks.ensure('1', MIB);
    await blocks.ensure('2', 2 * MIB);
    expect((await stat(blocks.path('1'))).size).toBe(MIB);
    expect((await stat(blocks.path('2'))).size).toBe(2 * MIB);
    expect(blocks.exists('9')).toBe(false);
    await expect(stat(`${blocks.path('1')}.new`)).rejects.toThrow('ENOENT');
  });

  it('says what cp says when a copy fails, and leaves nothing under the name', async () => {
    const blocks = await store();
    await expect(blocks.copy('none', '2')).rejects.toThrow('cp');
    expect(blocks.exists('2')).toBe(false);
  });
});
