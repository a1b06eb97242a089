import { describe, expect, it } from 'vitest';
import { configOf, errorsOf, faultsOf } from './testing/sections.ts';

describe('the values that parseSection reads', () => {
  it.each([
    ['tank/prox,mox', "','", 10],
    ['tank/pröx', 'U+00F6', 8],
    ['tank/with blank', "' '", 10],
    ['tank/😀x', 'U+1F600', 6],
    ['tank@snap', "'@'", 5],
    ['tank/a%b', "'%'", 7],
    ['/tank', "'/'", 1],
    ['tank/', "'/'", 5],
    ['tank//x', "'//'", 5],
    ['tank/../x', "'..'", 6],
    ['9tank/x', "'9'", 1],
  ])('refuses the dataset %s and shows what is wrong and where', (dataset, what, position) => {
    const [fault] = faultsOf({ dataset });
    expect(fault).toMatchObject({ setting: 'dataset', severity: 'error' });
    expect(fault?.message).toContain(what);
    expect(fault?.message).toContain(`position ${position}`);
  });

  it.each(['tank', 'tank/proxmox', 'Tank_1/a.b-c/d:e'])('accepts the dataset %s', (dataset) => {
    expect(configOf({ dataset }).dataset).toBe(dataset);
  });

  it.each(['mirror1', 'raidz', 'log', `tank/${'x'.repeat(200)}`, '/mnt/tank/proxmox'])('refuses the dataset %s', (dataset) => {
    expect(errorsOf({ dataset })).toEqual(['dataset']);
  });

  it.each([
    ['[2001:db8::1]', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['192.0.2.1', '192.0.2.1'],
    ['nas', 'nas'],
    ['NAS.example.org.', 'NAS.example.org.'],
  ])('takes the host %s, IPv6 also in brackets (F-010)', (given, host) => {
    expect(configOf({ api_host: given }).apiHost).toBe(host);
  });

  it.each(['https://nas', 'nas:443', '192.0.2.256', '192.000.002.010', '[nas]', 'a b', '-nas', 'nas/x', '', `${'a'.repeat(64)}.org`])(
    'refuses the host %j',
    (api_host) => {
      expect(errorsOf({ api_host })).toEqual(['api_host']);
    },
  );

  it.each([
    ['192.0.2.1', { host: '192.0.2.1', port: 3260 }],
    ['192.0.2.1:3261', { host: '192.0.2.1', port: 3261 }],
    ['[2001:db8::1]:3261', { host: '2001:db8::1', port: 3261 }],
    ['2001:db8::1', { host: '2001:db8::1', port: 3260 }],
    ['san.example.org:860', { host: 'san.example.org', port: 860 }],
  ])('takes the portal %s', (discovery_portal, portal) => {
    expect(configOf({ discovery_portal }).portals).toEqual([portal]);
  });

  it.each(['192.0.2.1:0', '192.0.2.1:65536', '192.0.2.1:', '010.0.2.1', ':3260', '[192.0.2.1]:3260', '2001:db8::1]:3260', '192.0.2.1:abc'])(
    'refuses the portal %j (F-412)',
    (discovery_portal) => {
      expect(errorsOf({ discovery_portal })).toEqual(['discovery_portal']);
    },
  );

  it('keeps each portal once, however it is written (F-009)', () => {
    expect(configOf({ portals: ' 192.0.2.10:3260 , ,[2001:db8:0::1]:3260,2001:DB8::1' }).portals).toEqual([
      { host: '192.0.2.10', port: 3260 },
      { host: '2001:db8:0::1', port: 3260 },
    ]);
  });

  it.each(['iqn.2005-10.org.freenas.ctl:proxmox', 'iqn.2005-10.org.freenas.ctl', 'proxmox', 'a.b-c:d'])(
    'takes the target %s',
    (target_iqn) => {
      expect(configOf({ target_iqn }).target).toBe(target_iqn);
    },
  );

  it.each([
    'iqn.2005-13.org.x:y',
    'iqn.05-10.org:y',
    'iqn.2005-10.org.x:a b',
    'a_b',
    'a/b',
    '',
    `iqn.2005-10.org.x:${'y'.repeat(220)}`,
    'x'.repeat(121),
  ])('refuses the target %j', (target_iqn) => {
    expect(errorsOf({ target_iqn })).toEqual(['target_iqn']);
  });

  it.each([
    ['iqn.2005-13.org.x:y', /'13' is not a month/],
    ['iqn.2005-10.-x:y', /'-x' is not a reversed domain name/],
    ['iqn.2005-10.org.x:', /nothing stands after the colon/],
    ['iqn.2005-10.org.x:a b', /character ' ' at position 20/],
    ['iqn.proxmox', /begins with iqn\.YEAR-MONTH\./],
    [`iqn.2005-10.org.x:${'y'.repeat(220)}`, /has 238 bytes, an IQN has at most 223/],
    ['a_b', /character '_' at position 2 is not allowed in a target's name/],
  ])('says what is wrong with the target %s', (target_iqn, pattern) => {
    expect(faultsOf({ target_iqn })[0]?.message).toMatch(pattern);
  });

  it.each(['nqn.2011-06.com.truenas:x', 'nqn.2011-06.com.truenas', 'nqn.2014-08.org.nvmexpress:uuid:4c4c4544-0050-4d10-8036-b7c04f4e4b32'])(
    'takes the NQN %s as without effect only',
    (hostnqn) => {
      expect(faultsOf({ hostnqn })).toHaveLength(1);
    },
  );

  it.each([
    ['nqn.2011.com.truenas:x', /begins with nqn\.YEAR-MONTH\./],
    ['nqn.2011-00.com.truenas:x', /'00' is not a month/],
    ['nqn.2014-08.org.nvmexpress:uuid:4c4c4544', /no UUID stands after uuid:/],
    ['nqn.2011-06.com.truenas:a b', /character ' ' at position 26/],
    [`nqn.2011-06.com.truenas:${'é'.repeat(110)}`, /has 244 bytes/],
    ['x', /begins with nqn/],
  ])('warns of the NQN %s', (subsystem_nqn, pattern) => {
    const faults = faultsOf({ subsystem_nqn });
    expect(faults.map((fault) => fault.severity)).toEqual(['warning', 'warning']);
    expect(faults[1]?.message).toMatch(pattern);
  });

  it.each([
    ['512', 512],
    ['16K', 16_384],
    ['16k', 16_384],
    ['128K', 131_072],
    [65_536, 65_536],
  ])('takes the block size %s', (zvol_blocksize, bytes) => {
    expect(configOf({ zvol_blocksize }).volblocksize).toBe(bytes);
  });

  it.each(['0', '256', '12K', '256K', '1M', '-16K', '16 K', 'K', '1e3', 'NaN'])('refuses the block size %s (F-409)', (zvol_blocksize) => {
    expect(errorsOf({ zvol_blocksize })).toEqual(['zvol_blocksize']);
  });

  it('keeps fractions of a second: 0.5 s is not no delay (F-431)', () => {
    expect(configOf({ api_retry_delay: '0.5' }).apiRetryDelayMs).toBe(500);
    expect(configOf({ tn_api_retry_delay: 0.25 }).apiRetryDelayMs).toBe(250);
  });

  it.each([
    ['api_port', ['0', '65536', '1.5', 'x', '', '0x1bb', '1e2', '9'.repeat(30), Number.NaN, {}]],
    ['api_timeout', [0, 301, '-1', 'Infinity']],
    ['api_retry_max', [-1, 11, 1.5]],
    ['api_retry_delay', [0, 0.05, 61, 'abc']],
    ['tn_device_ready_retries', [-1, 1201]],
  ])('refuses %s out of its range', (name, values) => {
    for (const value of values) expect(errorsOf({ [name]: value })).toEqual([name]);
  });

  it.each([
    [1, true],
    ['yes', true],
    ['ON', true],
    [true, true],
    [null, true],
    [0, false],
    ['no', false],
    ['off', false],
    ['false', false],
  ])('reads the boolean %j as PVE does', (written, value) => {
    expect(configOf({ use_multipath: written, portals: '192.0.2.11' }).multipath).toBe(value);
  });

  it('refuses what is no boolean', () => {
    for (const tn_sparse of ['2', 'maybe', '', {}, []]) expect(errorsOf({ tn_sparse })).toEqual(['tn_sparse']);
  });

  it('leaves multipath off when it is unset, whatever the old schema said (F-414)', () => {
    expect(configOf({ portals: '192.0.2.11' }).multipath).toBe(false);
  });
});
