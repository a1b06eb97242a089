import { describe, expect, it } from 'vitest';
import { parseSection } from './parse-section.ts';
import { SETTINGS, settingNamed } from './schema.ts';
import type { ConfigFault } from './storage-config.ts';

const GOOD = { api_host: 'nas.example.org', dataset: 'tank/proxmox', target_iqn: 'proxmox', discovery_portal: '192.0.2.10' } as const;

function faultsOf(more: Record<string, unknown>): readonly ConfigFault[] {
  return parseSection('nas', { ...GOOD, ...more }).faults;
}
function errorsOf(more: Record<string, unknown>): readonly string[] {
  return faultsOf(more).flatMap((fault) => (fault.severity === 'error' ? [fault.setting] : []));
}
function configOf(more: Record<string, unknown>) {
  const { config, faults } = parseSection('nas', { ...GOOD, ...more });
  if (config === null) throw new Error(`not usable: ${JSON.stringify(faults)}`);
  return config;
}

describe('parseSection', () => {
  it('gives the defaults that the Perl plugins behave by (F-401..F-442)', () => {
    expect(parseSection('nas', { type: 'truenasplugin', ...GOOD })).toEqual({
      config: {
        id: 'nas',
        disabled: false,
        nodes: null,
        apiHost: 'nas.example.org',
        apiPort: 443,
        apiScheme: 'wss',
        apiInsecure: false,
        fingerprint: null,
        caFile: null,
        apiUsername: null,
        preferIpv4: true,
        apiTimeoutMs: 30_000,
        apiRetryMax: 3,
        apiRetryDelayMs: 1000,
        connectionMaxAgeMs: 3_600_000,
        dataset: 'tank/proxmox',
        volblocksize: 16_384,
        sparse: true,
        spaceOverheadPercent: 20,
        forceSize: false,
        compression: null,
        transport: 'iscsi',
        target: 'proxmox',
        portals: [{ host: '192.0.2.10', port: 3260 }],
        multipath: false,
        initiator: 'kernel',
        chapUser: null,
        lunRestMs: 3_600_000,
        deviceTimeoutMs: 60_000,
      },
      faults: [],
    });
  });

  it('takes every alias for the same setting, with the same result (F-008, F-022)', () => {
    const own = {
      ...GOOD,
      api_port: 8443,
      api_retry_max: 5,
      portals: '192.0.2.11,192.0.2.12:3261',
      use_multipath: 1,
      chap_user: 'pve',
      zvol_blocksize: '64k',
      prefer_ipv4: 0,
    };
    const tn = Object.fromEntries(Object.entries(own).map(([name, value]) => [`tn_${name}`, value]));
    expect(parseSection('nas', tn)).toEqual(parseSection('nas', own));
    for (const setting of SETTINGS) for (const name of [setting.name, ...setting.aliases]) expect(settingNamed(name)).toBe(setting);
  });

  it('says the same of two names with different values, in whatever order they come', () => {
    const names = { tn_api_retry_max: 1, api_retry_max: 2 };
    const reversed = Object.fromEntries(Object.entries(names).reverse());
    expect(parseSection('nas', { ...GOOD, ...names }).faults).toEqual(parseSection('nas', { ...GOOD, ...reversed }).faults);
  });

  it('finds two names with different values, and lets equal values pass', () => {
    const [fault] = faultsOf({ tn_api_host: 'other.example.org' });
    expect(fault).toMatchObject({ setting: 'tn_api_host', severity: 'error' });
    expect(fault?.message).toContain('api_host');
    expect(faultsOf({ tn_api_host: 'nas.example.org', api_port: '443', tn_api_port: 443 })).toEqual([]);
  });

  it('reports all faults at once', () => {
    const { config, faults } = parseSection('nas', {
      api_port: 70_000,
      dataset: 'tank//x',
      portals: '1.2.3',
      api_timeout: 0,
      truenas_initiator: 'x',
    });
    expect(config).toBeNull();
    expect(faults.map((fault) => fault.setting).sort()).toEqual(
      ['api_host', 'api_port', 'api_timeout', 'dataset', 'discovery_portal', 'portals', 'target_iqn', 'truenas_initiator'].sort(),
    );
    for (const fault of faults) expect(fault.cure).not.toBe('');
    expect(faults.find((fault) => fault.setting === 'truenas_initiator')?.cure).toContain('truenas-initiator');
  });

  it('names a missing setting in the style of the section', () => {
    expect(parseSection('nas', { tn_api_host: 'nas' }).faults.map((fault) => fault.setting)).toEqual([
      'tn_dataset',
      'tn_target_iqn',
      'tn_discovery_portal',
    ]);
  });

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

  it('never lets a key travel over plain ws or http (F-015)', () => {
    for (const api_scheme of ['ws', 'http', 'HTTP']) {
      const { config, faults } = parseSection('nas', { ...GOOD, api_scheme, api_insecure: 1 });
      expect(config).toBeNull();
      expect(faults[0]).toMatchObject({ setting: 'api_scheme', severity: 'error' });
    }
    expect(configOf({ tn_api_scheme: 'https' }).apiScheme).toBe('wss');
  });

  it.each(['127.0.0.1', '127.9.9.9', '::1', '[::1]', 'localhost'])('lets ws to %s pass, with a warning', (api_host) => {
    const faults = faultsOf({ api_host, api_scheme: 'ws', api_insecure: 1 });
    expect(faults.map((fault) => [fault.setting, fault.severity])).toEqual([
      ['api_scheme', 'warning'],
      ['api_insecure', 'warning'],
    ]);
    expect(configOf({ api_host, api_scheme: 'http' })).toMatchObject({ apiScheme: 'ws', apiPort: 80 });
  });

  it('says clearly that NVMe/TCP is not offered yet, and still reads its settings', () => {
    const { config, faults } = parseSection('nas', {
      tn_api_host: 'nas',
      tn_dataset: 'tank/x',
      tn_transport_mode: 'nvme-tcp',
      tn_subsystem_nqn: 'nqn.2011-06.com.truenas:x',
      tn_nvme_ctrl_loss_tmo: -1,
    });
    expect(config).toBeNull();
    const errors = faults.filter((fault) => fault.severity === 'error');
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatchObject({ setting: 'tn_transport_mode' });
    expect(errors[0]?.message).toContain('not offered yet');
  });

  it.each([
    ['api_transport', 'rest'],
    ['tn_ipv6_by_path', 1],
    ['enable_live_snapshots', 1],
    ['tn_snapshot_volume_chains', 1],
    ['vmstate_storage', 'shared'],
    ['tn_enable_bulk_operations', 0],
    ['force_delete_on_inuse', 1],
    ['tn_use_cluster_lock', 1],
    ['tn_api_key_file', '/x'],
    ['debug', 99],
  ])('accepts %s and names it as without effect (F-404, F-418, F-427..F-429)', (name, value) => {
    const { config, faults } = parseSection('nas', { ...GOOD, [name]: value });
    expect(config).not.toBeNull();
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatchObject({ setting: name, severity: 'warning' });
    expect(faults[0]?.message).toContain('has no effect');
  });

  it('keeps secrets out of every message', () => {
    const faults = faultsOf({
      api_key: '1-SECRET',
      tn_chap_password: 'SECRET-too-12',
      tn_nvme_dhchap_secret: 'DHHC-1:SECRET',
      tn_api_key: '2-SECRET',
    });
    expect(faults.map((fault) => fault.setting)).toEqual(expect.arrayContaining(['api_key', 'tn_chap_password', 'tn_nvme_dhchap_secret']));
    expect(JSON.stringify(faults)).not.toContain('SECRET');
  });

  it('judges a CHAP secret in storage.cfg where CHAP is used: 12 to 16 characters (truenas-api 11)', () => {
    for (const chap_password of ['elevenchars', 'seventeencharsxxx']) {
      const faults = faultsOf({ chap_user: 'pve', chap_password });
      expect(faults.filter((fault) => fault.severity === 'error')).toMatchObject([{ setting: 'chap_password' }]);
      expect(JSON.stringify(faults)).not.toContain(chap_password);
      expect(errorsOf({ chap_password })).toEqual([]);
    }
    for (const chap_password of ['twelve-chars', 'with a blank in', 'sixteen-chars-xx']) {
      expect(errorsOf({ chap_user: 'pve', chap_password })).toEqual([]);
    }
  });

  it('knows an API key by its form', () => {
    expect(faultsOf({ api_key: `1-${'a'.repeat(64)}` })).toHaveLength(1);
    const faults = faultsOf({ tn_api_key: 'hunter2-is-no-key' });
    expect(faults.map((fault) => [fault.setting, fault.severity])).toEqual([
      ['tn_api_key', 'warning'],
      ['tn_api_key', 'warning'],
    ]);
    expect(JSON.stringify(faults)).not.toContain('hunter2');
  });

  it('names all wrong portals of a list', () => {
    expect(faultsOf({ portals: '192.0.2.1, 192.0.2.999, [x], ::1' })[0]?.message).toMatch(/192\.0\.2\.999.*; .*\[x\]/);
  });

  it('warns of thin volumes that may be larger than the pool', () => {
    expect(faultsOf({ 'truenas-force-size': 1 })).toMatchObject([{ setting: 'truenas-force-size', severity: 'warning' }]);
    expect(faultsOf({ 'truenas-force-size': 1, tn_sparse: 0 })).toEqual([]);
  });

  it('warns of a CA beside a fingerprint', () => {
    expect(faultsOf({ fingerprint: 'AB'.repeat(32), 'truenas-ca': '/etc/ca.pem' })).toMatchObject([
      { setting: 'truenas-ca', severity: 'warning' },
    ]);
  });

  it('refuses CHAP with the initiator of QEMU, and warns of multipath there', () => {
    expect(errorsOf({ 'truenas-initiator': 'qemu', chap_user: 'pve' })).toEqual(['chap_user']);
    expect(configOf({ 'truenas-initiator': 'qemu' }).initiator).toBe('qemu');
    expect(faultsOf({ 'truenas-initiator': 'qemu', use_multipath: 1 })).toMatchObject([{ setting: 'use_multipath', severity: 'warning' }]);
  });

  it('takes fingerprints in their usual spellings and gives them back in one', () => {
    const pairs = Array.from({ length: 32 }, (_, index) => (index + 200).toString(16).slice(-2));
    const wanted = pairs.join(':').toUpperCase();
    for (const written of [pairs.join(':'), pairs.join(''), wanted, `SHA256 Fingerprint=${wanted}`, `sha256:${pairs.join('')}`]) {
      expect(configOf({ fingerprint: written }).fingerprint).toBe(wanted);
    }
    for (const wrong of ['', 'zz', pairs.slice(1).join(':'), 'ab'.repeat(20), `${wanted}:00`]) {
      expect(errorsOf({ fingerprint: wrong })).toEqual(['fingerprint']);
    }
  });

  it('takes content and nodes as hashes of the loader and as lists of the file', () => {
    expect(configOf({ nodes: { pve2: 1, pve1: 1, off: 0 }, content: { images: 1 } }).nodes).toEqual(['pve2', 'pve1']);
    expect(configOf({ nodes: 'pve1, pve2', content: 'images,rootdir' }).nodes).toEqual(['pve1', 'pve2']);
    expect(faultsOf({ content: 'images,iso' })).toMatchObject([{ setting: 'content', severity: 'warning' }]);
  });

  it('passes over unknown settings with a warning and a guess (F-022)', () => {
    expect(faultsOf({ 'api-host': 'x', foo: 1, constructor: 'x' }).map((fault) => [fault.setting, fault.severity, fault.cure])).toEqual([
      ['api-host', 'warning', 'write api_host, or remove it'],
      ['foo', 'warning', 'remove it'],
      ['constructor', 'warning', 'remove it'],
    ]);
  });

  it('refuses control characters and endless values', () => {
    expect(errorsOf({ dataset: 'tank\0/x' })).toEqual(['dataset']);
    expect(errorsOf({ 'truenas-ca': `/${'x'.repeat(5000)}` })).toEqual(['truenas-ca']);
    expect(errorsOf({ 'truenas-ca': 'ca.pem' })).toEqual(['truenas-ca']);
  });
});
