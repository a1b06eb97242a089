import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSection } from './parse-section.ts';
import { SETTINGS, settingNamed } from './schema.ts';
import { GOOD } from './testing/sections.ts';

describe('parseSection on hostile values', () => {
  it('never throws, and gives a config exactly when there is no error', () => {
    const names = fc.oneof(fc.constantFrom(...SETTINGS.flatMap((setting) => [setting.name, ...setting.aliases])), fc.string());
    fc.assert(
      fc.property(fc.string(), fc.dictionary(names, HOSTILE, { maxKeys: 6 }), fc.boolean(), (id, raw, complete) => {
        const { config, faults } = parseSection(complete ? 'nas' : id, complete ? { ...raw, ...GOOD } : raw);
        expect(config === null).toBe(faults.some((fault) => fault.severity === 'error'));
        for (const fault of faults) expect(fault.cure).not.toBe('');
      }),
      { numRuns: 100 },
    );
  });

  describe.each(SETTINGS.flatMap((setting) => [setting.name, ...setting.aliases]))('%s', (name) => {
    it('turns whatever stands there into a value or into a fault that names it, in printable text', () => {
      const setting = settingNamed(name);
      fc.assert(
        fc.property(HOSTILE, (value) => {
          const { config, faults } = parseSection('nas', { ...without(setting), [name]: value });
          expect(config === null).toBe(faults.some((fault) => fault.severity === 'error'));
          const understood = value === null || setting?.schema.safeParse(value).success === true || setting?.effect === 'none';
          if (!understood) expect(faults.map((fault) => fault.setting)).toContain(name);
          for (const fault of faults) {
            expect(fault.cure).not.toBe('');
            expect(fault.message).toMatch(/^[\x20-\x7e\u2019]{1,700}$/);
          }
        }),
        { numRuns: 60 },
      );
    });
  });
});

/** What a hand, a script or a broken file may put there. */
const HOSTILE = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom(
    '',
    ' ',
    '\0',
    'a\0b',
    '\u202etxt',
    '\ud800',
    '0x10',
    '1e3',
    '１２',
    '-0',
    'NaN',
    '1,5',
    '99999999999999999999',
    '../..',
    '$(reboot)',
    '[::',
    'x'.repeat(5000),
    '/'.repeat(4000),
    '[]:'.repeat(500),
    ','.repeat(4000),
  ),
  fc.integer().map(String),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.dictionary(fc.string(), fc.constant(1)),
  fc.array(fc.string()),
  fc.object(),
);

/** The complete section without one setting. */
function without(setting: { readonly name: string } | undefined): Record<string, unknown> {
  return Object.fromEntries(Object.entries(GOOD).filter(([key]) => key !== setting?.name));
}
