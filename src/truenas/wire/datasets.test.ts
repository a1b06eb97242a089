import { describe, expect, it } from 'vitest';
import { RELEASES } from '../../core/array-port.ts';
import { datasetAndZvolQuery, datasetQuery, volblocksizeWord, zvolCreate, zvolDelete, zvolQuery, zvolsBelowQuery } from './datasets.ts';

const number = (value: number): unknown => ({ parsed: value, rawvalue: String(value), value: '1 GiB', source: 'LOCAL' });
const text = (value: string): unknown => ({ parsed: value, rawvalue: value, value: value.toUpperCase() });
const row = {
  id: 'tank/x',
  type: 'VOLUME',
  volsize: number(1024),
  volblocksize: { parsed: null, rawvalue: '512', value: '512' },
  used: number(7),
  origin: text('tank/base@__base__'),
  creation: { parsed: { $date: 1_700_000_000_123 }, rawvalue: '1700000000', value: 'Tue' },
  user_properties: { 'pve-truenas:owner': { value: 'a', rawvalue: 'a' }, comments: { value: 'c' }, 'x:y': 'plain' },
};
const zvols = zvolQuery('tank/x')('25.10').answer;
const info = { id: 'tank', type: 'FILESYSTEM', used: number(1), available: number(2), quota: { parsed: null, rawvalue: '0', value: null } };

describe('datasets on the wire (truenas-api 7.2, 9)', () => {
  it('reads a zvol, its origin exactly as it is named', () => {
    expect(zvols.parse([row])).toEqual([
      {
        id: 'tank/x',
        volsize: 1024,
        volblocksize: 512,
        used: 7,
        origin: 'tank/base@__base__',
        creation: 1_700_000_000,
        userProperties: { 'pve-truenas:owner': 'a', 'x:y': 'plain' },
      },
    ]);
  });

  it.each([[text('')], [text('none')], [undefined]])('knows a zvol that is no clone: origin %j', (origin) => {
    expect(zvols.parse([{ ...row, origin }])[0]?.origin).toBeNull();
  });

  it.each([
    [{ ...row, type: 'FILESYSTEM' }],
    [{ ...row, volsize: undefined }],
    [{ ...row, volsize: { parsed: 1.5, rawvalue: 'x' } }],
    [{ ...row, volsize: { parsed: 2 ** 60, rawvalue: '99999999999999999999' } }],
    [{ ...row, id: '' }],
    [null],
  ])('does not take %j for a zvol', (bad) => {
    expect(zvols.safeParse([bad]).success).toBe(false);
  });

  it('reads a parent; locked also where only the key is told of', () => {
    const answer = datasetQuery(['tank'])('25.10').answer;
    expect(answer.parse([info])).toEqual([
      { id: 'tank', type: 'FILESYSTEM', used: 1, available: 2, quota: null, readonly: false, locked: false },
    ]);
    const locked = { ...info, encrypted: true, key_loaded: false, readonly: { parsed: null, rawvalue: 'on', value: 'ON' } };
    expect(answer.parse([locked])[0]).toMatchObject({ locked: true, readonly: true });
  });

  it('takes parent and zvol out of one answer, each held against its own schema', () => {
    const answer = datasetAndZvolQuery('tank', 'tank/x')('25.10').answer;
    expect(answer.parse([row, info])).toMatchObject({ dataset: { id: 'tank' }, zvol: { id: 'tank/x' } });
    expect(answer.parse([info])).toMatchObject({ zvol: null });
    expect(answer.parse([])).toEqual({ dataset: null, zvol: null });
    expect(answer.safeParse([info, { ...row, type: 'FILESYSTEM' }]).success).toBe(false);
  });

  it('never asks for children where they are repeated, but searches 25.04 with them: it sees only pools otherwise', () => {
    for (const release of RELEASES) {
      const [, one] = zvolQuery('tank/x')(release).params as [unknown, { extra: { retrieve_children: boolean } }];
      const [, many] = zvolsBelowQuery('tank')(release).params as [unknown, { extra: { retrieve_children: boolean }; select: string[] }];
      expect(one.extra.retrieve_children).toBe(false);
      expect(many.extra.retrieve_children).toBe(release === '25.04');
      expect(many.select).not.toContain('children');
    }
  });

  it('sends every optional field of a creation (F-301); thick volumes keep their reservation', () => {
    const wanted = { id: 'tank/x', volsize: 1024, volblocksize: 512, comments: 'c', userProperties: { 'a:b': 'c' } };
    const [thin] = zvolCreate({ ...wanted, sparse: true })('25.10').params;
    expect(thin).toEqual({
      name: 'tank/x',
      type: 'VOLUME',
      volsize: 1024,
      volblocksize: '512',
      sparse: true,
      force_size: false,
      comments: 'c',
      snapdev: 'INHERIT',
      reservation: 0,
      refreservation: 0,
      special_small_block_size: 'INHERIT',
      user_properties: [{ key: 'a:b', value: 'c' }],
    });
    const [thick] = zvolCreate({ ...wanted, sparse: false, compression: 'LZ4' })('26.0').params;
    expect(thick).toMatchObject({ sparse: false, refreservation: 1024, compression: 'LZ4' });
  });

  it('never destroys recursively (truenas-api 9.3)', () => {
    for (const release of RELEASES) expect(zvolDelete('tank/x')(release).params).toEqual(['tank/x', { recursive: false, force: false }]);
  });

  it('writes block sizes in the words of TrueNAS', () => {
    expect([512, 1024, 4096, 16_384, 131_072].map(volblocksizeWord)).toEqual(['512', '1K', '4K', '16K', '128K']);
  });
});
