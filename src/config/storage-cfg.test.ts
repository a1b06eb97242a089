import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStorageCfg, readStorageCfg, type StorageSection } from './storage-cfg.ts';

/** Writes sections as PVE::SectionConfig does. */
function write(sections: readonly Pick<StorageSection, 'type' | 'id' | 'properties'>[]): string {
  return sections
    .map(({ type, id, properties }) => {
      const lines = Object.entries(properties).map(([key, value]) => (value === null ? `\t${key}\n` : `\t${key} ${value}\n`));
      return `${type}: ${id}\n${lines.join('')}\n`;
    })
    .join('');
}

const bare = (sections: readonly StorageSection[]) => sections.map(({ type, id, properties }) => ({ type, id, properties }));

describe('parseStorageCfg', () => {
  it('reads what PVE writes', () => {
    const text = 'dir: local\n\tpath /var/lib/vz\n\tcontent iso,backup\n\ntruenasplugin: nas\n\tdisable\n\tdataset tank/with blank\n\n';
    expect(parseStorageCfg(text)).toEqual([
      { type: 'dir', id: 'local', line: 1, properties: { path: '/var/lib/vz', content: 'iso,backup' } },
      { type: 'truenasplugin', id: 'nas', line: 5, properties: { disable: null, dataset: 'tank/with blank' } },
    ]);
  });

  it('is as tolerant as PVE: comments, blanks, CRLF, upper-case types, no blank after the colon', () => {
    const text = '# one\nTrueNASplugin:nas  \r\n  # two\n    dataset\t  tank/x  \r\n\tapi_port 443\n#three';
    expect(bare(parseStorageCfg(text))).toEqual([{ type: 'truenasplugin', id: 'nas', properties: { dataset: 'tank/x', api_port: '443' } }]);
  });

  it('takes the first of two equal keys and the last of two sections, and says so with the line', () => {
    const { sections, warnings } = readStorageCfg('x: nas\n\ta 1\n\ta 2\n\ny: nas\n\tb 1\n');
    expect(bare(sections)).toEqual([{ type: 'y', id: 'nas', properties: { b: '1' } }]);
    expect(warnings.map(({ line, type }) => [line, type])).toEqual([
      [3, 'x'],
      [5, 'y'],
    ]);
  });

  it('passes over what is no setting, and a header inside a section, with a warning', () => {
    const { sections, warnings } = readStorageCfg('junk\nx: nas\ny: inner\n\ta 1\n   \n\tb 2\n\nx: 1bad\n\tc 3\n');
    expect(bare(sections)).toEqual([{ type: 'x', id: 'nas', properties: { a: '1', b: '2' } }]);
    expect(warnings.map(({ line }) => line)).toEqual([1, 3, 5, 8]);
  });

  it('keeps keys that JavaScript finds special', () => {
    const [section] = parseStorageCfg('x: nas\n\t__proto__ evil\n\tconstructor 1\n');
    expect(Object.entries(section?.properties ?? {})).toEqual([
      ['__proto__', 'evil'],
      ['constructor', '1'],
    ]);
  });

  it('gives back what was written', () => {
    const word = fc.stringMatching(/^[a-z][a-z0-9_-]{0,20}[a-z0-9]$/);
    const value = fc.option(fc.stringMatching(/^[!-~]([ -~]{0,30}[!-~])?$/));
    const section = fc.record({ type: word, id: word, properties: fc.dictionary(word, value, { noNullPrototype: true }) });
    fc.assert(
      fc.property(fc.uniqueArray(section, { selector: (one) => one.id, maxLength: 6 }), (sections) => {
        const read = readStorageCfg(write(sections));
        expect(bare(read.sections)).toEqual(sections);
        expect(read.warnings).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });

  it('never throws, and takes time in proportion to the text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void readStorageCfg(Buffer.from(bytes).toString('latin1'))),
      { numRuns: 200 },
    );
    for (const text of [
      `${'a:'.repeat(100_000)} b c`,
      ' '.repeat(200_000),
      `x: nas\n\t${'k '.repeat(100_000)}`,
      `${' '.repeat(200_000)}#`,
    ]) {
      expect(readStorageCfg(text).warnings.length).toBeLessThan(3);
    }
    expect(readStorageCfg('x'.repeat(2 ** 20 + 1)).sections).toEqual([]);
  });
});
