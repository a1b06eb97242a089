import { describe, expect, it } from 'vitest';
import { parseSection } from './parse-section.ts';
import { SETTINGS, settingNamed } from './schema.ts';
import { configOf, errorsOf, faultsOf, GOOD } from './testing/sections.ts';

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
