import { describe, expect, it } from 'vitest';
import { parseAnswer } from './pool-report.ts';
import { poolTables } from './pool-tables.ts';

const GUID = '13413376331219843502';
type Property = readonly [name: string, raw: string, source?: string, from?: string | null];
const properties = (...all: readonly Property[]): readonly unknown[] =>
  all.map(([name, raw, source = 'NONE', from = null]) => [name, raw, source, from]);
const common = (guid: string, txg: number): Property[] => [
  ['guid', guid],
  ['createtxg', String(txg)],
  ['creation', '1795610511'],
  ['referenced', '57344'],
];

/** As the worker in the VM answers. */
const whole = {
  refusal: null,
  datasets: [
    {
      name: 'tank',
      type: 'FILESYSTEM',
      properties: properties(...common('1', 1), ['compression', 'lz4', 'LOCAL'], ['a:b', 'c', 'LOCAL'], ['atime', 'on', 'DEFAULT']),
    },
    {
      name: 'tank/v',
      type: 'VOLUME',
      properties: properties(
        ...common(GUID, 7),
        ['volsize', '16777216', 'LOCAL'],
        ['volblocksize', '16384', 'DEFAULT'],
        ['compression', 'lz4', 'INHERITED', 'tank'],
        ['a:b', 'c', 'INHERITED', 'tank'],
      ),
    },
    {
      name: 'tank/v@s',
      type: 'SNAPSHOT',
      properties: properties(...common('3', 9), ['volsize', '16777216'], ['userrefs', '1'], ['defer_destroy', 'on']),
    },
    {
      name: 'tank/c',
      type: 'VOLUME',
      properties: properties(...common('4', 11), ['volsize', '16777216', 'LOCAL'], ['volblocksize', '16384'], ['origin', 'tank/v@s']),
    },
  ],
  holds: { 'tank/v@s': { 'a tag': 1_795_610_980 } },
  sizes: [33_822_867_456, 1_417_216, 33_821_450_240],
};

describe('what the worker in the VM says of its pool', () => {
  const { report } = parseAnswer(JSON.stringify(whole));
  const tables = poolTables(report.datasets);

  it('becomes records: guids of 64 bits as they are, only what was set there, origin and dataset by guid', () => {
    expect(tables.datasets).toMatchObject([
      { name: 'tank', properties: { compression: 'lz4' }, userProperties: { 'a:b': 'c' }, origin: null },
      {
        name: 'tank/v',
        guid: GUID,
        type: 'VOLUME',
        properties: { volsize: '16777216', volblocksize: '16384' },
        userProperties: {},
        createtxg: 7,
      },
      { name: 'tank/c', origin: '3' },
    ]);
    expect(tables.snapshots).toMatchObject([
      { name: 's', dataset: GUID, guid: '3', holds: { 'a tag': 1_795_610_980 }, deferred: true, referenced: 57_344, volsize: 16_777_216 },
    ]);
  });

  it('keeps every property with its source by guid', () => {
    expect(tables.properties.get(GUID)?.get('compression')).toEqual({ raw: 'lz4', source: 'INHERITED', from: 'tank' });
    expect(tables.properties.get('3')?.get('userrefs')?.raw).toBe('1');
  });

  it('has the sizes of the pool when it was read whole, and nothing of them when not', () => {
    expect(report.sizes).toEqual({ size: 33_822_867_456, allocated: 1_417_216, free: 33_821_450_240 });
    expect(parseAnswer(JSON.stringify({ ...whole, sizes: null })).report.sizes).toBeNull();
  });

  it('hands on a refusal, and throws for a defect of the worker and for anything else', () => {
    expect(parseAnswer(JSON.stringify({ ...whole, refusal: 'cannot' })).refusal).toBe('cannot');
    expect(() => parseAnswer('{"failed":"Traceback: KeyError"}')).toThrow('KeyError');
    expect(() => parseAnswer('{"datasets":[]}')).toThrow();
    expect(() => poolTables([{ name: 'tank', type: 'FILESYSTEM', properties: new Map(), holds: {} }])).toThrow("the guid of 'tank'");
  });
});
