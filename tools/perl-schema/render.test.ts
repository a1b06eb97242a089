import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SETTINGS } from '../../src/config/schema.ts';
import { ERROR_CATALOGUE } from '../../src/core/error-catalogue.ts';
import { codesOf, generateInto, marksOf, perlString, renderAdvice, renderSchema, replaceGenerated, type SettingFacts } from './render.ts';

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

const { begin, end } = marksOf('ADVICE');

describe('replaceGenerated', () => {
  const source = `head\n    ${begin}\nold\n    ${end}\ntail\n`;
  it('changes only what is between the marks, and nothing the second time', () => {
    const once = replaceGenerated(source, 'ADVICE', 'new');
    expect(once).toBe(`head\n    ${begin}\nnew\n    ${end}\ntail\n`);
    expect(replaceGenerated(once, 'ADVICE', 'new')).toBe(once);
    expect(replaceGenerated(once, 'ADVICE', '')).toBe(`head\n    ${begin}\n    ${end}\ntail\n`);
  });
  it.each([['no marks'], [`${begin}\n`], [source + source]])('refuses a module with marks missing or twice', (text) => {
    expect(() => replaceGenerated(text, 'ADVICE', 'x')).toThrow(/exactly once/);
  });
});

describe('the codes of the module', () => {
  const module = `
    _refused('NAME_INVALID', "x");
    return _failure($method, 'late', 'DAEMON_TIMEOUT', late => 1);
    $failure->{unsent} = 1 if $failure->{code} eq 'SHUTTING_DOWN';
    ${begin}
    'OLD_CODE' => [],
    ${end}
  `;
  it('are those that it raises, not those that it compares with or that were generated', () => {
    expect(codesOf(module)).toEqual(['DAEMON_TIMEOUT', 'NAME_INVALID']);
  });
  it('must stand in the catalogue', () => {
    expect(renderAdvice(['X_Y'], { X_Y: { causes: ["it's"], hints: ['a', 'b'] } })).toBe(`    'X_Y' => [['it\\'s'], ['a', 'b']],`);
    expect(() => renderAdvice(['X_Y'], {})).toThrow(/raises X_Y/);
  });
});

describe('the module in the tree', () => {
  const module = readFileSync(new URL('../../perl/PVE/Storage/Custom/TrueNASPlugin.pm', import.meta.url), 'utf8');
  it('has the settings of src/config/schema.ts and the advice of src/core/error-catalogue.ts', () => {
    expect(generateInto(module, SETTINGS, ERROR_CATALOGUE)).toBe(module);
  });
  it('raises only codes that can be explained, and never dies of its own without one', () => {
    expect(codesOf(module).filter((code) => !(code in ERROR_CATALOGUE))).toEqual([]);
    expect(codesOf(module)).toEqual(expect.arrayContaining(['DAEMON_ANSWER', 'DAEMON_BROKEN', 'DAEMON_NOT_RUNNING', 'DAEMON_TIMEOUT']));
    const bare = module.split('\n').filter((line) => /\bdie (?!_block\(|\$error;|\$@ )/.test(line.replace(/#.*/, '')));
    expect(bare).toEqual([]);
  });
});
