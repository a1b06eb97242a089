import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SETTINGS } from '../../src/config/schema.ts';
import { BEGIN_MARK, END_MARK, perlString, renderSchema, replaceGenerated, type SettingFacts } from './render.ts';

const plain: SettingFacts = { name: 'dataset', aliases: [], type: 'string', expected: 'a dataset', description: 'Parent.' };

describe('perlString', () => {
  it('escapes what Perl would read, keeps one line of ASCII', () => {
    expect(perlString(`it's C:\\x`)).toBe(`'it\\'s C:\\\\x'`);
    expect(perlString('TrueNAS’s “word”\n\tnext – é')).toBe(`'TrueNAS\\'s "word" next - ?'`);
    expect(perlString('$x @y')).toBe(`'$x @y'`);
  });
});

describe('renderSchema', () => {
  it('writes a line for each name with type, default and marks, and leaves ranges to the daemon', () => {
    const line = renderSchema([
      { ...plain, aliases: ['tn_dataset'], fixed: true },
      { ...plain, name: 'n', type: 'integer', expected: 'a whole number from 0 to 10', default: 3 },
      { ...plain, name: 'b', type: 'boolean', default: false },
      { ...plain, name: 'e', type: 'enum', expected: 'one of x, y', default: 'x' },
      { ...plain, name: 'k', aliases: ['tn_k'], sensitive: true },
    ]);
    expect(line.split('\n')).toEqual([
      `    'dataset' => [{ type => 'string', description => 'Parent.', optional => 1 }, { fixed => 1 }],`,
      `    'tn_dataset' => [{ type => 'string', description => 'Another name of dataset.', optional => 1 }, { fixed => 1 }],`,
      `    'n' => [{ type => 'string', default => '3', description => 'Parent. Value: a whole number from 0 to 10.', optional => 1 }, {}],`,
      `    'b' => [{ type => 'boolean', default => 0, description => 'Parent.', optional => 1 }, {}],`,
      `    'e' => [{ type => 'string', default => 'x', description => 'Parent. Value: one of x, y.', optional => 1 }, {}],`,
      `    'k' => [{ type => 'string', description => 'Parent.', optional => 1 }, { secret => 'k' }],`,
      `    'tn_k' => [{ type => 'string', description => 'Another name of k.', optional => 1 }, { secret => 'k' }],`,
    ]);
  });
  it('refuses a name that stands twice: PVE would die of it', () => {
    expect(() => renderSchema([plain, { ...plain, name: 'x', aliases: ['dataset'] }])).toThrow(/'dataset' stands twice/);
  });
});

describe('replaceGenerated', () => {
  const source = `head\n    ${BEGIN_MARK}\nold\n    ${END_MARK}\ntail\n`;
  it('changes only what is between the marks, and nothing the second time', () => {
    const once = replaceGenerated(source, 'new');
    expect(once).toBe(`head\n    ${BEGIN_MARK}\nnew\n    ${END_MARK}\ntail\n`);
    expect(replaceGenerated(once, 'new')).toBe(once);
  });
  it.each([['no marks'], [`${BEGIN_MARK}\n`], [source + source]])('refuses a module with marks missing or twice', (text) => {
    expect(() => replaceGenerated(text, 'x')).toThrow(/exactly once/);
  });
});

describe('the module in the tree', () => {
  it('has the settings of src/config/schema.ts', () => {
    const module = readFileSync(new URL('../../perl/PVE/Storage/Custom/TrueNASPlugin.pm', import.meta.url), 'utf8');
    expect(replaceGenerated(module, renderSchema(SETTINGS))).toBe(module);
  });
});
