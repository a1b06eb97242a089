import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const readme = readFileSync(join(ROOT, 'test/lab/README.md'), 'utf8');

interface Row {
  readonly id: string;
  readonly files: readonly string[];
}

const rows: readonly Row[] = [...readme.matchAll(/^\| (RP-\d\d) \| .+ \| (.+) \|$/gm)].map(([, id = '', files = '']) => ({
  id,
  files: [...files.matchAll(/`([^`]+)`/g)].map(([, file = '']) => file),
}));

describe('the behaviours of the real parts that the lab lists', () => {
  it('are listed once each, in order', () => {
    const ids = rows.map(({ id }) => id);
    expect(ids).toEqual([...new Set(ids)].sort());
    expect(ids).toContain('RP-13');
  });

  it.each(rows)('$id is cited by a test in each file that is said to hold it', ({ id, files }) => {
    expect(files.length).toBeGreaterThan(0);
    expect(files.filter((file) => !file.endsWith('.test.ts'))).toEqual([]);
    expect(files.filter((file) => !readFileSync(join(ROOT, file), 'utf8').includes(id))).toEqual([]);
  });
});
