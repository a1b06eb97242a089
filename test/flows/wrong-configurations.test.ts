import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { contentsOf, DaemonProcess, sectionFor } from './testing/daemon-process.ts';
import { PvesmLite } from './testing/pvesm-lite.ts';

/**
 * Wrong settings, by `pvesm add` and `pvesm set`: the real Perl module, the real daemon, the simulator. TrueNAS need not be
 * asked for any of these, and is not. What only TrueNAS can know is in wrong-configurations-on-array.test.ts.
 */

let sim: Simulator;
const daemon = new DaemonProcess();
const pvesm = new PvesmLite(daemon);
beforeAll(async () => {
  sim = await launchSimulator({ blocks: 'memory', delays: false });
  await daemon.start();
  const { status, err } = await pvesm.change('add', 'good', { ...sectionFor(sim), api_retry_max: 3 }, { api_key: sim.apiKey });
  expect({ status, err }).toEqual({ status: 0, err: '' });
});
afterAll(async () => {
  await daemon.dispose();
  await sim.stop();
});

type Settings = Readonly<Record<string, string | number | null>>;
type Wrong = readonly [
  what: string,
  settings: Settings,
  /** as the message names it */
  setting: string,
  message: RegExp,
  cure: RegExp,
  secrets?: Readonly<Record<string, string>>,
];

const SPAN = /whole number from/;
const MISSING = /is missing/;

/** `null` leaves a setting of the good section out. */
const WRONG: readonly Wrong[] = [
  ['more retries than 10', { api_retry_max: 11 }, 'api_retry_max', /'11' is not a whole number from 0 to 10/, SPAN],
  ['less than no retry', { api_retry_max: -1 }, 'api_retry_max', /'-1' is not/, SPAN],
  ['half a retry', { api_retry_max: '1.5' }, 'api_retry_max', /'1\.5' is not/, SPAN],
  ['a delay below 0.1 s', { api_retry_delay: '0.05' }, 'api_retry_delay', /'0\.05' is not a number from 0\.1 to 60/, /0\.1 to 60 \(s\)/],
  ['a delay above 60 s', { tn_api_retry_delay: '60.5' }, 'tn_api_retry_delay', /'60\.5' is not/, /0\.1 to 60/],
  ['a delay in words', { api_retry_delay: 'half' }, 'api_retry_delay', /'half' is not a number/, /0\.1 to 60/],
  ['a decimal comma', { api_retry_delay: '0,5' }, 'api_retry_delay', /'0,5' is not a number/, /0\.1 to 60/],
  ['no time at all', { api_timeout: 0 }, 'api_timeout', /'0' is not a number from 1 to 300/, /1 to 300 \(s\)/],
  ['more than 300 s', { api_timeout: 301 }, 'api_timeout', /'301' is not/, /1 to 300/],
  ['a time with a unit', { api_timeout: '30s' }, 'api_timeout', /'30s' is not a number/, /1 to 300/],
  ['a session without age', { api_connection_max_age: 0 }, 'api_connection_max_age', /'0' is not a whole number from 1/, SPAN],
  ['port 0', { api_port: 0 }, 'api_port', /'0' is not a whole number from 1 to 65535/, SPAN],
  ['port 70000', { api_port: 70_000 }, 'api_port', /'70000' is not/, SPAN],
  ['no host', { api_host: null }, 'api_host', MISSING, /a host name or IP address/],
  ['a URL as host', { api_host: 'https://nas' }, 'api_host', /'https:\/\/nas' is a URL/, /without scheme and port/],
  ['a port in the host', { api_host: 'nas:443' }, 'api_host', /has a port.*api_port/, /without scheme and port/],
  ['an address with 256', { api_host: '192.0.2.256' }, 'api_host', /is not an IPv4 address/, /IP address/],
  ['leading zeros', { api_host: '192.000.002.010' }, 'api_host', /without leading zeros/, /IP address/],
  ['a blank in the host', { api_host: 'my nas' }, 'api_host', /character ' ' at position 3 is not allowed/, /host name/],
  ['half an IPv6 address', { api_host: '[fd00::1' }, 'api_host', /character '\[' at position 1/, /host name/],
  ['a scheme that is none', { api_scheme: 'ftp' }, 'api_scheme', /'ftp' is no scheme/, /set api_scheme to wss/],
  [
    'ws to another host',
    { api_scheme: 'ws', api_host: '192.0.2.1' },
    'api_scheme',
    /would send the API key unencrypted/,
    /to wss, or remove it/,
  ],
  [
    'http to another host',
    { tn_api_scheme: 'http', api_host: 'nas.example' },
    'tn_api_scheme',
    /revokes a key/,
    /set tn_api_scheme to wss/,
  ],
  ['a SHA-1 fingerprint', { fingerprint: 'AB:'.repeat(20).slice(0, -1) }, 'fingerprint', /SHA-1 fingerprint/, /32 pairs/],
  ['a fingerprint cut short', { fingerprint: 'AB:CD' }, 'fingerprint', /has 4 hexadecimal digits/, /32 pairs/],
  ['a CA by relative path', { 'truenas-ca': 'ca.pem' }, 'truenas-ca', /is not an absolute path/, /absolute path/],
  ['a user with a blank', { 'truenas-username': 'pve user' }, 'truenas-username', /character ' ' at position 4/, /TrueNAS user/],
  ['no dataset', { dataset: null }, 'dataset', MISSING, /such as tank\/proxmox/],
  ['a dataset from the root', { dataset: '/tank/pve' }, 'dataset', /'\/' at position 1/, /such as tank\/proxmox/],
  ['a dataset to the end', { dataset: 'tank/pve/' }, 'dataset', /'\/' at position 9: a dataset does not end/, /single '\/'/],
  ['an empty part', { dataset: 'tank//pve' }, 'dataset', /'\/\/' at position 5: a part of the name is empty/, /single '\/'/],
  ['a blank in the dataset', { dataset: 'tank/my disks' }, 'dataset', /character ' ' at position 8 is not allowed/, /letters, digits/],
  ['a snapshot', { dataset: 'tank/pve@now' }, 'dataset', /character '@' at position 9/, /letters, digits/],
  ['a mount path', { dataset: '/mnt/tank/pve' }, 'dataset', /mount path; the dataset is 'tank\/pve'/, /tank\/proxmox/],
  ['a way upwards', { dataset: 'tank/../other' }, 'dataset', /'\.\.' at position 6 is not a name/, /tank\/proxmox/],
  ['a pool that begins with a digit', { dataset: '1tank/pve' }, 'dataset', /'1' at position 1/, /tank\/proxmox/],
  ['a word of ZFS', { dataset: 'mirror/pve' }, 'dataset', /ZFS keeps that word/, /tank\/proxmox/],
  ['a dataset without room', { dataset: `tank/${'x'.repeat(176)}` }, 'dataset', /has 181 characters, at most 180/, /tank\/proxmox/],
  ['a block size between', { zvol_blocksize: '12K' }, 'zvol_blocksize', /'12K' is none of TrueNAS's block sizes/, /512, 1K, .*128K/],
  ['a block size above', { zvol_blocksize: '256K' }, 'zvol_blocksize', /'256K' is none/, /512, 1K/],
  ['a compression that is none', { tn_compression: 'lzma' }, 'tn_compression', /'lzma' is not known/, /one of OFF, LZ4/],
  ['Fibre Channel', { transport_mode: 'fc' }, 'transport_mode', /'fc' is not known/, /one of iscsi/],
  ['NVMe/TCP', { transport_mode: 'nvme-tcp' }, 'transport_mode', /not offered yet/, /use iscsi/],
  ['no target', { target_iqn: null }, 'target_iqn', MISSING, /an IQN such as/],
  ['an IQN of month 13', { target_iqn: 'iqn.2005-13.org.x:y' }, 'target_iqn', /'13' is not a month/, /an IQN such as/],
  ['an IQN without date', { target_iqn: 'iqn.org.x:y' }, 'target_iqn', /begins with iqn\.YEAR-MONTH\./, /an IQN such as/],
  ['a blank in the IQN', { target_iqn: 'iqn.2005-10.org.x:a b' }, 'target_iqn', /character ' ' at position 20/, /an IQN such as/],
  [
    'an IQN without end',
    { target_iqn: `iqn.2005-10.org.x:${'y'.repeat(206)}` },
    'target_iqn',
    /has 224 bytes, an IQN has at most 223/,
    /IQN/,
  ],
  ['no portal', { discovery_portal: null }, 'discovery_portal', MISSING, /IP, IP:port or \[IPv6\]:port/],
  ['a portal at port 0', { discovery_portal: '192.0.2.1:0' }, 'discovery_portal', /'0' is not a port from 1 to 65535/, /IP:port/],
  ['IPv6 without its end', { discovery_portal: '[fd00::1:3260' }, 'discovery_portal', /written \[address\]:port/, /\[IPv6\]:port/],
  ['two wrong portals', { portals: '192.0.2.300,192.0.2.2,[x]' }, 'portals', /192\.0\.2\.300.*; '\[x\]'/, /divided by commas/],
  ['an initiator that is none', { 'truenas-initiator': 'bsd' }, 'truenas-initiator', /'bsd' is not known/, /one of kernel, qemu/],
  ['a wait without end', { tn_device_ready_retries: 5000 }, 'tn_device_ready_retries', /'5000' is not/, /from 0 to 1200/],
  ['a LUN that never rests', { 'truenas-lun-rest': -1 }, 'truenas-lun-rest', /'-1' is not/, /from 0 to 604800/],
  ['more overhead than 100 %', { 'truenas-space-overhead': 101 }, 'truenas-space-overhead', /'101' is not/, /from 0 to 100/],
  ['two names that differ', { tn_dataset: 'tank/other' }, 'tn_dataset', /two names of one setting/, /remove one of/],
  ['none beside content', { content: 'images,none' }, 'content', /none stands beside other content/, /or none/],
  ['a node that is none', { nodes: 'pve_1' }, 'nodes', /'pve_1': no name of a node/, /names of nodes/],
  [
    'CHAP in QEMU',
    { chap_user: 'pve' },
    'chap_user',
    /cannot be used with truenas-initiator qemu/,
    /kernel/,
    { chap_password: 'twelve-chars' },
  ],
  [
    'a CHAP user with a blank',
    { chap_user: 'p v' },
    'chap_user',
    /character ' ' at position 2/,
    /without blanks/,
    { chap_password: 'twelve-chars' },
  ],
  [
    'CHAP without secret',
    { 'truenas-initiator': 'kernel', chap_user: 'pve' },
    'chap_password',
    /is missing, and chap_user needs it/,
    /--chap_password/,
  ],
  ['CHAP without user', {}, 'chap_password', /without chap_user it has no effect/, /set chap_user/, { chap_password: 'twelve-chars' }],
  [
    'a short CHAP secret',
    { 'truenas-initiator': 'kernel', chap_user: 'u' },
    'chap_password',
    /has 11 characters; TrueNAS takes 12 to 16/,
    /12 to 16/,
    { chap_password: 'eleven-char' },
  ],
  [
    'a long CHAP secret',
    { 'truenas-initiator': 'kernel', chap_user: 'u' },
    'chap_password',
    /has 17 characters/,
    /12 to 16/,
    { chap_password: 'seventeen-chars-x' },
  ],
];

/** Runs a change that must be refused; nothing may differ afterwards, and TrueNAS may not have been asked. */
async function refused(run: () => ReturnType<PvesmLite['change']>): Promise<string> {
  const before = { files: pvesm.kept(), array: await contentsOf(sim) };
  sim.resetCalls();
  const { status, err } = await run();
  expect(status).toBe(1);
  expect({ files: pvesm.kept(), array: await contentsOf(sim) }).toEqual(before);
  expect(sim.calls()).toEqual({});
  expect(err).toMatch(/^State: nothing was changed$/m);
  return err;
}

/** The line that names this setting: `  SETTING: message; cure`. */
function lineOf(err: string, setting: string): string {
  return err.split('\n').find((line) => line.startsWith(`  ${setting}: `)) ?? `no line of ${setting} in: ${err}`;
}

describe('pvesm add refuses', () => {
  it.each(WRONG.map((row) => [row[0], row] as const))('%s', async (_what, [, settings, setting, message, cure, secrets]) => {
    const section = Object.fromEntries(Object.entries({ ...sectionFor(sim), ...settings }).filter(([, value]) => value !== null));
    const err = await refused(() => pvesm.change('add', 'new', section, { api_key: sim.apiKey, ...secrets }));
    const line = lineOf(err, setting);
    expect(line).toMatch(message);
    expect(line.slice(line.indexOf('; '))).toMatch(cure);
    for (const secret of [sim.apiKey, ...Object.values(secrets ?? {})]) expect(err).not.toContain(secret);
  });

  it('a storage without a key', async () => {
    expect(lineOf(await refused(() => pvesm.change('add', 'new', sectionFor(sim))), 'api_key')).toMatch(
      /has no API key; pvesm set new --api_key/,
    );
  });

  it('everything at once', async () => {
    const err = await refused(() =>
      pvesm.change(
        'add',
        'new',
        { api_retry_max: 11, api_timeout: 0, dataset: 'tank//x', target_iqn: 'a b', api_insecure: 1, chap_user: 'u' },
        { chap_password: 'short' },
      ),
    );
    const names = ['api_host', 'api_key', 'api_retry_max', 'api_timeout', 'chap_password', 'dataset', 'discovery_portal', 'target_iqn'];
    for (const setting of names) expect(lineOf(err, setting)).toMatch(/: .+; .+/);
    expect(lineOf(err, 'warning')).toMatch(/warning: api_insecure: accepts any certificate/);
  });
});

describe('pvesm set refuses, on a storage that works', () => {
  const CHAP = { 'truenas-initiator': 'kernel', chap_user: 'pve' };

  it.each([
    ['a wrong value', { api_retry_max: 11 }, {}, 'api_retry_max', /'11' is not/],
    ['a wrong value together with a new key', { api_timeout: 0 }, { api_key: `9-${'z'.repeat(64)}` }, 'api_timeout', /'0' is not/],
    ['to lose the host', { api_host: null }, {}, 'api_host', MISSING],
    ['to lose the portal', { discovery_portal: null }, {}, 'discovery_portal', MISSING],
    ['to lose the key', { api_key: null }, {}, 'api_key', /has no API key/],
    ['CHAP without a secret', CHAP, {}, 'chap_password', /is missing/],
    ['CHAP with a short secret', CHAP, { chap_password: 'short' }, 'chap_password', /has 5 characters/],
    ['ws to another host', { api_scheme: 'ws', api_host: '192.0.2.1' }, {}, 'api_scheme', /unencrypted/],
    ['two names that differ', { tn_api_host: '192.0.2.7' }, {}, 'tn_api_host', /two names of one setting/],
  ] satisfies readonly [string, Settings, Record<string, string>, string, RegExp][])(
    '%s',
    async (_what, settings, secrets, setting, message) => {
      expect(lineOf(await refused(() => pvesm.change('set', 'good', settings, secrets)), setting)).toMatch(message);
    },
  );

  it('a dataset, a target or a transport other than before', async () => {
    for (const settings of [{ dataset: 'tank' }, { target_iqn: 'other' }, { transport_mode: 'nvme-tcp' }]) {
      const before = pvesm.kept();
      expect(await pvesm.change('set', 'good', settings)).toMatchObject({
        status: 1,
        err: expect.stringMatching(/fixed parameter/) as string,
      });
      expect(pvesm.kept()).toEqual(before);
    }
  });

  it('and takes what is right, and a deletion whose result is right', async () => {
    expect(await pvesm.change('set', 'good', { api_timeout: '7.5', api_retry_max: null })).toMatchObject({ status: 0, err: '' });
    expect(pvesm.kept()['storage.cfg']).toMatch(/api_timeout 7\.5/);
    expect(pvesm.kept()['storage.cfg']).not.toMatch(/api_retry_max/);
  });

  it('while the session of the storage stays: no refusal costs a login', async () => {
    sim.resetCalls();
    expect((await pvesm.run(['status', 'good'])).out).toMatch(/^good\tactive\t/);
    expect(Object.keys(sim.calls()).filter((method) => method.startsWith('auth.'))).toEqual([]);
  });

  it('nothing about a storage that is taken out of use, though its TrueNAS is gone', async () => {
    expect(await pvesm.change('set', 'good', { disable: 1, api_host: '192.0.2.9' })).toMatchObject({ status: 0 });
  });
});
