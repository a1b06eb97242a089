import { describe, expect, it } from 'vitest';
import { parseFileSection } from './file-section.ts';

const GOOD = { api_host: 'nas', dataset: 'tank/x', target_iqn: 't', discovery_portal: '192.0.2.1' };
const parse = (more: Record<string, string | null>) => parseFileSection({ id: 'nas', properties: { ...GOOD, ...more } });

describe('parseFileSection', () => {
  it('is parseSection where PVE takes every value', () => {
    expect(parse({ tn_sparse: '0', use_multipath: '1', portals: '192.0.2.2', disable: null })).toMatchObject({
      config: { sparse: false, multipath: true, disabled: true },
      faults: [],
    });
  });

  it.each([
    ['tn_sparse', 'no', 'error'],
    ['tn_sparse', 'yes', 'warning'],
    ['api_insecure', 'on', 'error'],
    ['api_insecure', 'off', 'warning'],
    ['disable', 'yes', 'error'],
    ['use_multipath', '2', 'error'],
    ['debug', 'true', null],
    ['logout_on_free', 'true', 'warning'],
  ])('finds that PVE passes over %s %s', (name, value, severity) => {
    const { config, faults } = parse({ [name]: value });
    const found = faults.filter((fault) => fault.setting === name && !fault.message.startsWith('has no effect'));
    expect(found.map((fault) => fault.severity)).toEqual(severity === null ? [] : [severity]);
    for (const fault of found) expect(fault.cure).toBe(`set ${name} to 1 or 0`);
    expect(config === null).toBe(severity === 'error');
  });

  it('gives a fingerprint in the spelling that PVE takes', () => {
    const pairs = Array.from({ length: 32 }, () => 'AB').join(':');
    expect(parse({ fingerprint: pairs }).faults).toEqual([]);
    expect(parse({ fingerprint: 'ab'.repeat(32) })).toMatchObject({
      config: null,
      faults: [{ setting: 'fingerprint', severity: 'error', cure: `write it as ${pairs}` }],
    });
    expect(parse({ fingerprint: 'zz' }).faults).toHaveLength(1);
  });

  it('finds what makes PVE drop the section, and with it the storage list of all nodes', () => {
    expect(parse({ content: 'images,none' }).faults).toMatchObject([{ setting: 'content', severity: 'error' }]);
    expect(parse({ nodes: 'pve1,p_2' }).faults).toMatchObject([{ setting: 'nodes', severity: 'error' }]);
  });

  it('keeps names that JavaScript finds special', () => {
    const properties = Object.fromEntries([['__proto__', 'x'], ...Object.entries(GOOD)]);
    expect(parseFileSection({ id: 'nas', properties }).faults).toMatchObject([{ setting: '__proto__', severity: 'warning' }]);
  });
});
