import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readLogLevel } from './defaults-file.ts';

describe('the defaults file', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'defaults-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const read = async (text: string): Promise<string | null> => {
    await writeFile(join(folder, 'file'), text);
    return readLogLevel(join(folder, 'file'));
  };

  it.each([
    ['LOG_LEVEL=debug\n', 'debug'],
    ['# LOG_LEVEL=debug\nLOG_LEVEL="warn" # loud\n', 'warn'],
    ["LOG_LEVEL=info\nLOG_LEVEL='error'", 'error'],
    ['OTHER_LOG_LEVEL=debug\n', null],
    ['LOG_LEVEL=\n', null],
  ])('says in %j: %s', async (text, level) => {
    expect(await read(text)).toBe(level);
  });

  it('sets nothing where it is not', async () => {
    expect(await readLogLevel(join(folder, 'missing'))).toBeNull();
  });

  it('is refused with a word that is no level', async () => {
    await expect(read('LOG_LEVEL=loud\n')).rejects.toThrow(/LOG_LEVEL=loud is none of debug, info/);
  });
});
