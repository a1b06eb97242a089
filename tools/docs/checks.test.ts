import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import { anchorsOf, deadLinks } from './check-links.ts';
import { commandLines, isCommandLine, unknownCodes, unknownCommands, unknownMetrics, unknownSettings } from './check-names.ts';

const page = (text: string, path = 'docs/a.md') => ({ path, text });
const program = buildProgram(() => Promise.resolve());

describe('dead links', () => {
  const files: Readonly<Record<string, string>> = {
    'docs/b.md': '# One: `two`\n\n## One\n\n## One\n\n```\n# no heading\n```\n',
    'README.md': '',
    docs: '',
  };
  const read = (path: string): string | null => files[path] ?? null;

  it.each([
    '[x](b.md)',
    '[x](b.md#one-two)',
    '[x](b.md#one-1)',
    '[x](../README.md)',
    '[x](../docs)',
    '[x](https://example.org/#y)',
    '`[x](no.md)`',
    '```\n[x](no.md)\n```',
  ])('finds nothing wrong with %j', (text) => expect(deadLinks([page(text)], read)).toEqual([]));

  it.each([
    ['[x](c.md)', 'c.md'],
    ['[x](b.md#two)', 'b.md#two'],
    ['[x](b.md#no-heading)', 'b.md#no-heading'],
    ['[x](b.md#one-2)', 'b.md#one-2'],
    ['[x](#here)', '#here'],
    ['![x](picture.png "title")', 'picture.png'],
    ['[x](../../README.md)', '../../README.md'],
  ])('finds %j', (text, link) =>
    expect(deadLinks([page(text)], (path) => (path === 'docs/a.md' ? text : read(path)))).toEqual([`docs/a.md: ${link}`]),
  );

  it('numbers equal headings', () => {
    expect([...anchorsOf('# A\n# A\n# A b-c_d!')]).toEqual(['a', 'a-1', 'a-b-c_d']);
  });
});

describe('settings that do not exist', () => {
  it.each([
    ['```\ntruenasplugin: nas\n\tapi_hots nas\n\tdataset x\n```', 'api_hots'],
    ['```sh\npvesm set nas --api_kye K\n```', 'api_kye'],
    ['```sh\npvesm add truenasplugin nas \\\n  --datasett x\n```', 'datasett'],
    ['set `tn_api_retries` to 3', 'tn_api_retries'],
    ['set `truenas-lun-sleep 5`', 'truenas-lun-sleep'],
  ])('%j', (text, name) => expect(unknownSettings(page(text))).toEqual([name]));

  it('are not those that do, nor flags of other programs', () => {
    expect(
      unknownSettings(page('`api_timeout`, `tn_sparse 0`, `pvesm set nas --dataset x --delete portals`, `qm set 100 --scsi0 x`')),
    ).toEqual([]);
  });
});

describe('codes and metrics that do not exist', () => {
  it('are found', () => {
    expect(unknownCodes(page('`pve-truenas explain NO_SPCAE`, `DEVICE_LOST`'))).toEqual(['NO_SPCAE', 'DEVICE_LOST']);
    expect(unknownMetrics('rate(pve_truenas_logins[5m]) pve_truenas_array_up_bucket')).toEqual([
      'pve_truenas_logins',
      'pve_truenas_array_up_bucket',
    ]);
  });
  it('are not those that do, nor roles', () => {
    expect(unknownCodes(page('`pve-truenas explain CODE`, `NO_SPACE`, `FULL_ADMIN`, `NO_COLOR`, `EXTENT`'))).toEqual([]);
    expect(unknownMetrics('pve_truenas_api_call_duration_seconds_bucket pve_truenas_array_up _pve_truenas_x')).toEqual([]);
  });
});

describe('command lines that do not exist', () => {
  it.each(['helth', 'status --jsn', 'config', 'config chek', 'list --vm 100', 'explain CODE --file x', ''])('pve-truenas %s', (line) => {
    expect(isCommandLine(line, program)).toBe(false);
  });
  it.each([
    'health',
    'health nas --json',
    'config check --file x',
    'list [STORAGE] [--vmid N]',
    '--help',
    'status --help',
    '--json status',
  ])('not: pve-truenas %s', (line) => {
    expect(isCommandLine(line, program)).toBe(true);
  });
  it('are looked for in all code of a page, and there only', () => {
    const text =
      'pve-truenas nonsense in prose; `pve-truenas health`\n```sh\npve-truenas list nas | head  # comment\nsudo pve-truenas oops --x\n/etc/pve-truenas x\n```\n';
    expect(commandLines(text)).toEqual(['list nas', 'oops --x', 'health']);
    expect(unknownCommands(page(text), program)).toEqual(['oops --x']);
  });
});
