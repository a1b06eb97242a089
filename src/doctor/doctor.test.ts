import { describe, expect, it } from 'vitest';
import { ManualClock } from '../core/testing/manual-clock.ts';
import { examineNode } from './doctor.ts';
import type { Finding } from './finding.ts';
import { DaemonSilent } from './ports.ts';
import { FakeNode, never } from './testing/fake-node-ports.ts';

interface Seen {
  readonly state: string;
  /** By name; the later of two with one name. */
  readonly checks: ReadonlyMap<string, Finding>;
  readonly bad: readonly string[];
}

async function examined(node: FakeNode, storage?: string): Promise<Seen> {
  const request = { probe: false, stop: new AbortController().signal, progress: () => undefined };
  const { subjects, state } = await examineNode(node.ports(), storage === undefined ? request : { ...request, storage });
  const all = subjects.flatMap(({ checks }) => checks);
  const bad = all.filter((check) => check.state === 'error' || check.state === 'warning').map((check) => `${check.name}: ${check.state}`);
  return { state, bad, checks: new Map(all.map((check) => [check.name, check])) };
}

/** The same, on a clock that runs out of every deadline as soon as nothing else is left to do. */
async function whenTimeIsOver(node: FakeNode): Promise<Seen> {
  const clock = new ManualClock();
  node.clock = clock;
  const seen = examined(node);
  // first the file's deadline, then those of the examinations that begin after it
  for (let round = 0; round < 3; round += 1) await clock.advance(20_000);
  return seen;
}

const MULTIPATH = '\tportals 198.51.100.10\n\tuse_multipath 1';
const GOOD_CONF = `defaults {\n\tfind_multipaths "strict"\n}\ndevices {\n\tdevice {\n\t\tvendor "TrueNAS"\n\t\tproduct "iSCSI Disk"\n\t\tprio "alua"\n\t\tno_path_retry "queue"\n\t\tfast_io_fail_tmo 280\n\t}\n}\n`;

it('a node on which all is well: no warning, and everything that the storage stands on was looked at', async () => {
  const node = new FakeNode();
  const { state, bad, checks } = await examined(node);
  expect({ state, bad }).toEqual({ state: 'ok', bad: [] });
  expect([...checks.keys()]).toEqual([
    ...['account', 'storage.cfg', 'daemon', 'versions in the cluster', 'Perl module', 'software', 'time service', 'initiator name'],
    ...['iscsid timeouts', 'multipath settings', 'LVM filter', 'settings', 'DNS nas', 'DNS 192.0.2.10', 'route nas:443', 'MTU nas:443'],
    ...['route 192.0.2.10:3260', 'MTU 192.0.2.10:3260', 'TLS', 'certificate dates', 'certificate trust', 'clocks', 'API key', 'connection'],
    ...['sessions', 'paths'],
  ]);
  expect(checks.get('MTU nas:443')?.seen).toBe("1500 bytes by interface ens18; a don't-fragment ping of 1500 bytes came back");
});

it('changes nothing: the daemon is asked for what it knows, programs only show', async () => {
  const node = new FakeNode();
  node.storageCfg(MULTIPATH);
  node.commands.answers.set('multipathd show config', { stdout: GOOD_CONF });
  await examined(node);
  expect([...new Set(node.asked)].sort()).toEqual(['daemon.hello', 'overview.health']);
  expect([...new Set(node.commands.asked.map((line) => line.split(' ').slice(0, 2).join(' ')))].sort()).toEqual([
    ...['dpkg-query -W', 'ip -json', 'lvmconfig --type', 'multipathd show', 'ping -n', 'timedatectl show', 'uname -r'],
  ]);
});

type Break = (node: FakeNode) => void;
const put =
  (path: string, text: string): Break =>
  (node) =>
    node.files.put(path, text);
const says =
  (program: string, stdout: string): Break =>
  (node) =>
    void node.commands.answers.set(program, { stdout });

const SITUATIONS: readonly (readonly [string, string, RegExp, Break])[] = [
  [
    'daemon',
    'error',
    /not running/,
    (node) => void node.daemon.set('daemon.hello', new DaemonSilent('the daemon is not running', 'systemctl start pve-truenasd')),
  ],
  [
    'daemon',
    'warning',
    /pve-truenas is 1\.0\.0/,
    (node) => void node.daemon.set('daemon.hello', { version: '0.9.0', node: 'pve1', pid: 1, uptime_s: 1 }),
  ],
  [
    'versions in the cluster',
    'warning',
    /pve1 1\.0\.0, pve2 0\.9\.0: not the same/,
    put('/etc/pve/nodes/pve2/pve-truenas-version', '0.9.0\n'),
  ],
  ['versions in the cluster', 'warning', /pve2 unknown/, (node) => node.files.drop('/etc/pve/nodes/pve2')],
  ['versions in the cluster', 'warning', /pve2 unknown/, put('/etc/pve/nodes/pve2/pve-truenas-version', '\x1b[31m evil\n')],
  ['versions in the cluster', 'skipped', /not understood/, put('/etc/pve/.members', '{"nodelist":')],
  ['Perl module', 'error', /is not there/, (node) => node.files.drop('/usr/share/perl5/PVE/Storage/Custom/TrueNASPlugin.pm')],
  ['Perl module', 'error', /another plugin's/, put('/usr/share/perl5/PVE/Storage/Custom/TrueNASPlugin.pm', 'package other;')],
  ['time service', 'warning', /not synchronised/, says('timedatectl', 'no\n')],
  ['initiator name', 'error', /open-iscsi is not installed/, (node) => node.files.drop('/etc/iscsi/initiatorname.iscsi')],
  ['initiator name', 'error', /is no name/, put('/etc/iscsi/initiatorname.iscsi', 'InitiatorName=pve1\n')],
  ['initiator name', 'error', /names no initiator/, put('/etc/iscsi/initiatorname.iscsi', 'GenerateName=yes\n')],
  [
    'initiator name',
    'warning',
    /names 2 initiators/,
    put('/etc/iscsi/initiatorname.iscsi', 'InitiatorName=iqn.1993-08.x:1\nInitiatorName=iqn.1993-08.x:2\n'),
  ],
  ['iscsid timeouts', 'warning', /guests get I\/O errors/, put('/etc/iscsi/iscsid.conf', 'node.session.timeo.replacement_timeout = 5\n')],
  ['iscsid timeouts', 'warning', /not noticed/, put('/etc/iscsi/iscsid.conf', 'node.conn[0].timeo.noop_out_interval = 0\n')],
  [
    'LVM filter',
    'warning',
    /looks into the disks of guests/,
    says('lvmconfig', 'global_filter=["r|/dev/zd.*|","r|/dev/rbd.*|"]\nfilter=["a|.*|"]\n'),
  ],
  ['storage.cfg', 'ok', /1 storage/, put('/etc/pve/storage.cfg', `nonsense\ntruenasplugin: nas\n\tapi_host nas\n`)],
  ['setting dataset', 'error', /./, put('/etc/pve/storage.cfg', 'truenasplugin: nas\n\tapi_host nas\n\ttarget_iqn x\n')],
  ['DNS nas', 'error', /no such name/, (node) => node.names.clear()],
  [
    'route nas:443',
    'error',
    /no route/,
    (node) => void node.commands.answers.set('ip -json route get 192.0.2.10', new Error('RTNETLINK answers: Network is unreachable')),
  ],
  ['route nas:443', 'skipped', /not installed/, (node) => void node.commands.answers.delete('ip -json route get')],
  [
    'MTU nas:443',
    'error',
    /narrower/,
    (node) => void node.commands.answers.set('ping', (argv) => ({ exitCode: argv.includes('1472') ? 1 : 0 })),
  ],
  ['MTU nas:443', 'ok', /only this node's side/, (node) => void node.commands.answers.set('ping', { exitCode: 1 })],
  ['MTU nas:443', 'ok', /only this node's side/, (node) => void node.commands.answers.delete('ping')],
  ['TLS', 'error', /ECONNREFUSED/, (node) => (node.tls = () => Promise.reject(new Error('connect ECONNREFUSED 192.0.2.10:443')))],
  [
    'certificate trust',
    'error',
    /not the one in the setting/,
    (node) => (node.tls = () => Promise.resolve({ ...node.goodTls(), fingerprint: 'CD:CD' })),
  ],
  [
    'clocks',
    'error',
    /10 min behind/,
    (node) => (node.date = () => Promise.resolve({ array: 1_000_000_000_000, before: 1_000_000_600_000, after: 1_000_000_601_000 })),
  ],
  ['clocks', 'skipped', /tells no time/, (node) => (node.date = () => Promise.resolve({ array: null, before: 0, after: 1 }))],
  ['API key', 'error', /there is none/, (node) => node.secrets.clear()],
  [
    'API key',
    'warning',
    /stands in storage\.cfg/,
    (node) => void node.secrets.set('nas.api_key', { value: 'x', inline: true, padded: false }),
  ],
  [
    'pool',
    'warning',
    /DEGRADED/,
    (node) => node.health([{ name: 'pool', state: 'warning', message: "pool 'tank' is DEGRADED", cure: 'zpool status' }]),
  ],
  [
    'roles',
    'error',
    /lacks/,
    (node) => node.health([{ name: 'roles', state: 'critical', message: 'the API key lacks the role DATASET_WRITE', cure: 'add it' }]),
  ],
  [
    'roles',
    'skipped',
    /see connection/,
    (node) => node.health([{ name: 'connection', state: 'critical', message: 'nothing listens', cure: 'api_host' }]),
  ],
  [
    'TrueNAS',
    'error',
    /could not be asked/,
    (node) => void node.daemon.set('overview.health', new DaemonSilent('the daemon did not answer in time', 'restart it')),
  ],
];

describe('one thing is wrong, and is found with its cure', () => {
  it.each(SITUATIONS)('%s is %s: %s', async (name, state, seen, wrong) => {
    const node = new FakeNode();
    wrong(node);
    const check = (await examined(node)).checks.get(name);
    expect(check).toMatchObject({ state, seen: expect.stringMatching(seen) as string });
    if (state === 'error' || state === 'warning') expect(check?.cure ?? '').not.toBe('');
  });
});

describe('multipath', () => {
  async function withConfig(config: string, iscsid = 'node.session.timeo.replacement_timeout = 15\n'): Promise<Seen> {
    const node = new FakeNode();
    node.storageCfg(MULTIPATH);
    node.commands.answers.set('multipathd show config', { stdout: config });
    node.commands.answers.set('ip -json route get 198.51.100.10', { stdout: JSON.stringify([{ dev: 'ens19' }]) });
    node.files.put('/sys/class/net/ens19/mtu', '9000');
    node.files.put('/etc/iscsi/iscsid.conf', iscsid);
    return examined(node);
  }

  it('with a section for TrueNAS, two ways and short timeouts is fine', async () => {
    expect(await withConfig(GOOD_CONF)).toMatchObject({ state: 'ok', bad: [] });
  });
  it('F-113: without a section for TrueNAS is told', async () => {
    expect((await withConfig('defaults {\n}\n')).bad).toContain('multipath settings: warning');
  });
  it('F-114: replacement_timeout of two minutes is too long, unless fast_io_fail_tmo takes its place', async () => {
    const slow = 'node.session.timeo.replacement_timeout = 120\n';
    expect((await withConfig(GOOD_CONF.replace(/.*fast_io.*\n/, ''), slow)).bad).toEqual(['iscsid timeouts: warning']);
    expect((await withConfig(GOOD_CONF, slow)).bad).toEqual([]);
  });
  it('both portals through one interface are one path', async () => {
    const node = new FakeNode();
    node.storageCfg(MULTIPATH);
    node.commands.answers.set('multipathd show config', { stdout: GOOD_CONF });
    const { checks } = await examined(node);
    expect(checks.get('separate ways')).toMatchObject({ state: 'warning', seen: expect.stringContaining('ens18') as string });
  });
  it('that does not run is an error, by the file then', async () => {
    const node = new FakeNode();
    node.storageCfg(MULTIPATH);
    node.commands.answers.set('multipathd show config', new Error('exit code 1'));
    node.files.put('/etc/multipath.conf', GOOD_CONF);
    const { checks } = await examined(node);
    expect(checks.get('multipathd')?.state).toBe('error');
    expect(checks.get('multipath settings')?.state).toBe('ok');
  });
});

describe('what cannot be had hides nothing else', () => {
  it('the daemon is down: the doctor logs in itself and says so', async () => {
    const node = new FakeNode();
    node.daemon.set('daemon.hello', new DaemonSilent('the daemon is not running', 'systemctl start pve-truenasd'));
    const { checks, bad } = await examined(node);
    expect(bad).toEqual(['daemon: error']);
    expect(checks.get('login')?.seen).toContain('logged in to TrueNAS itself');
    expect(node.asked).toEqual(['daemon.hello']);
  });

  it('not root: what is not seen is skipped, never fine, and never an error', async () => {
    const node = new FakeNode();
    node.isRoot = false;
    node.daemon.set('daemon.hello', new DaemonSilent('/run/pve-truenas/daemon.sock may not be opened by this user', 'sudo'));
    node.stuck.set('/etc/iscsi/iscsid.conf', new Error('/etc/iscsi/iscsid.conf: Permission denied'));
    node.commands.answers.set('lvmconfig', new Error('lvmconfig failed (exit code 5): Permission denied'));
    const { state, bad, checks } = await examined(node);
    expect({ state, bad }).toEqual({ state: 'warning', bad: ['account: warning'] });
    for (const name of ['daemon', 'API key', 'TrueNAS', 'iscsid timeouts', 'LVM filter'])
      expect(checks.get(name), name).toMatchObject({ state: 'skipped', cure: 'run pve-truenas doctor as root' });
  });

  it('storage.cfg that only root may read', async () => {
    const node = new FakeNode();
    node.isRoot = false;
    node.stuck.set('/etc/pve/storage.cfg', new Error('/etc/pve/storage.cfg: Permission denied'));
    expect((await examined(node)).checks.get('storage.cfg')).toMatchObject({ state: 'skipped' });
  });

  it('a broken section beside a good one: both are told of, only the good one is asked about', async () => {
    const node = new FakeNode();
    node.storageCfg(
      '',
      'truenasplugin: broken\n\tapi_host a b c\n\tdataset ///\n\ntruenasplugin: other\n\tnodes pve9\n\tapi_host nas\n\tfingerprint x\n',
    );
    const { bad, checks } = await examined(node);
    expect(bad).toEqual(expect.arrayContaining(['setting api_host: error', 'setting dataset: error']));
    expect(checks.get('connection')).toMatchObject({ state: 'ok' });
  });

  it('no storage of that name: an error, and the node is looked at all the same', async () => {
    const { checks, state } = await examined(new FakeNode(), 'nsa');
    expect(state).toBe('error');
    expect(checks.get('storage')?.seen).toContain("no storage 'nsa'");
    expect(checks.get('Perl module')?.state).toBe('ok');
  });

  it('everything hangs at once: each check ends by its own deadline', async () => {
    const node = new FakeNode();
    for (const path of ['/etc/pve/.members', '/etc/iscsi/iscsid.conf', '/etc/iscsi/initiatorname.iscsi']) node.stuck.set(path, null);
    node.tls = () => never();
    node.date = () => never();
    node.commands.answers.set('lvmconfig', () => never());
    const { checks } = await whenTimeIsOver(node);
    for (const name of ['versions in the cluster', 'initiator name', 'TLS', 'clocks', 'LVM filter'])
      expect(checks.get(name), name).toMatchObject({ state: 'error', seen: expect.stringContaining('not done within') as string });
    for (const name of ['DNS nas', 'connection', 'Perl module']) expect(checks.get(name)?.state).toBe('ok');
  });

  it('the cluster file system hangs: that is the finding', async () => {
    const node = new FakeNode();
    node.stuck.set('/etc/pve/storage.cfg', null);
    const { checks } = await whenTimeIsOver(node);
    expect(checks.get('storage.cfg')).toMatchObject({ state: 'error', cure: expect.stringContaining('pve-cluster') as string });
    expect(checks.get('daemon')?.state).toBe('ok');
  });

  it('hostile texts in every file are read as texts', async () => {
    const node = new FakeNode();
    const junk = `${'\0\x1b]0;x\x07{[("'.repeat(20_000)}\n${'a.'.repeat(200_000)}`;
    for (const path of ['/etc/iscsi/iscsid.conf', '/etc/iscsi/initiatorname.iscsi', '/etc/pve/.members']) node.files.put(path, junk);
    for (const program of ['ip -json route get', 'lvmconfig', 'timedatectl', 'uname', 'dpkg-query', 'ping'])
      node.commands.answers.set(program, { stdout: junk });
    const { checks } = await examined(node);
    expect(checks.get('connection')?.state).toBe('ok');
    expect(checks.get('initiator name')?.state).toBe('error');
  });
});

describe('a storage that this node does not use', () => {
  it.each([
    ['disabled', '\tdisable 1'],
    ['of other nodes', '\tnodes pve7,pve8'],
  ])('%s: nobody is asked', async (_what, line) => {
    const node = new FakeNode();
    node.storageCfg(line);
    const { checks } = await examined(node);
    expect(checks.get('storage')?.state).toBe('skipped');
    expect(checks.has('TLS')).toBe(false);
    expect(node.asked).toEqual(['daemon.hello']);
  });
});

it('qemu as initiator: what the node does not do is not demanded of it', async () => {
  const node = new FakeNode();
  node.storageCfg('\ttruenas-initiator qemu');
  node.files.drop('/etc/iscsi/initiatorname.iscsi');
  const { bad, checks } = await examined(node);
  expect(bad).toEqual([]);
  expect(checks.get('sessions')?.state).toBe('skipped');
});
