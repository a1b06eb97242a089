import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { TestingClient } from '../../sim/server/testing-client.ts';
import { run } from '../../src/cli/program.ts';
import { systemClock } from '../../src/core/system-clock.ts';
import { contentsOf, DaemonProcess, sectionFor } from './testing/daemon-process.ts';
import { PvesmLite } from './testing/pvesm-lite.ts';

/** Settings that are well formed and do not fit the TrueNAS at hand: by `pvesm add`, and by `config check --online`. */

let sim: Simulator;
let root: TestingClient;
let plainPort: number;
const keys: Record<string, string> = {};
const daemon = new DaemonProcess();
const pvesm = new PvesmLite(daemon);

beforeAll(async () => {
  sim = await launchSimulator({ blocks: 'memory', delays: false, plainListen: { host: '127.0.0.1', port: 0 }, revokeOnLoopback: false });
  plainPort = Number(new URL(sim.plainUrl ?? '').port);
  root = await TestingClient.open(sim);
  await root.login(sim);
  const made = await Promise.all([
    root.call('pool.dataset.create', { name: 'tank/zvol', type: 'VOLUME', volsize: 1024 ** 3 }),
    root.call('pool.dataset.create', { name: 'tank/frozen', type: 'FILESYSTEM', readonly: 'ON' }),
    root.call('iscsi.target.create', { name: 'nobody', groups: [] }),
    root.call('iscsi.auth.create', { tag: 7, user: 'pve', secret: 'twelve-chars' }),
  ]);
  const portal = await root.call('iscsi.portal.query');
  const group = { portal: (portal.result as { id: number }[])[0]?.id, initiator: null, authmethod: 'CHAP', auth: 7 };
  made.push(await root.call('iscsi.target.create', { name: 'chapped', groups: [group] }));
  for (const { error } of made) expect(error).toBeUndefined();
  keys['right'] = sim.apiKey;
  keys['unknown'] = `1-${'x'.repeat(64)}`;
  keys['reader'] = await sim.createKey('reader', ['READONLY_ADMIN']);
  keys['no-delete'] = await sim.createKey('nodelete', [
    'READONLY_ADMIN',
    'SHARING_ISCSI_WRITE',
    'DATASET_WRITE',
    'SNAPSHOT_WRITE',
    'SNAPSHOT_DELETE',
  ]);
  keys['enough'] = await sim.createKey('enough', [
    'READONLY_ADMIN',
    'SHARING_ISCSI_WRITE',
    'DATASET_WRITE',
    'DATASET_DELETE',
    'SNAPSHOT_WRITE',
    'SNAPSHOT_DELETE',
  ]);
  await daemon.start();
});
afterAll(async () => {
  root.socket.close();
  await daemon.dispose();
  await sim.stop();
});

interface Wrong {
  readonly settings?: Readonly<Record<string, string | number>>;
  /** left out of the section */
  readonly without?: string;
  readonly key?: string;
  readonly setting: string;
  readonly message: RegExp;
  readonly cure: RegExp;
}

const WRONG: Readonly<Record<string, Wrong>> = {
  'a host where nobody listens': {
    settings: { api_host: '127.0.0.99' },
    setting: 'api_host',
    message: /nothing listens on 127\.0\.0\.99/,
    cure: /./,
  },
  'a name that nobody knows': {
    settings: { api_host: 'no-such-host.invalid' },
    setting: 'api_host',
    message: /no-such-host\.invalid cannot be resolved/,
    cure: /./,
  },
  'a port of nothing': { settings: { api_port: 1 }, setting: 'api_host', message: /nothing listens on .*:1 .*api_port/, cure: /./ },
  'the port without TLS': { settings: { api_port: -1 }, setting: 'api_port', message: /does not speak TLS/, cure: /./ },
  'ws at the port with TLS': { settings: { api_scheme: 'ws' }, setting: 'api_port', message: /does not speak HTTP without TLS/, cure: /./ },
  'the fingerprint of another': {
    settings: { fingerprint: 'AB:'.repeat(32).slice(0, -1) },
    setting: 'fingerprint',
    message: /has the fingerprint [0-9A-F:]{95}, not the one in the setting/,
    cure: /fingerprint/,
  },
  'no fingerprint of a certificate of its own': {
    without: 'fingerprint',
    setting: 'fingerprint',
    message: /is not trusted .* its fingerprint is/,
    cure: /pvesm set new --fingerprint [0-9A-F:]{95}/,
  },
  'a CA file that is not there': {
    settings: { 'truenas-ca': '/nonexistent/ca.pem' },
    without: 'fingerprint',
    setting: 'truenas-ca',
    message: /CA file \/nonexistent\/ca\.pem cannot be read/,
    cure: /./,
  },
  'a key that TrueNAS does not know': { key: 'unknown', setting: 'api_key', message: /does not accept the API key/, cure: /API Keys/ },
  'the user of another key': {
    settings: { 'truenas-username': 'reader' },
    setting: 'api_key',
    message: /does not accept the API key for the user reader/,
    cure: /API Keys/,
  },
  'a key that may only read': {
    key: 'reader',
    setting: 'api_key',
    message: /lacks the role DATASET_WRITE: volumes cannot be made/,
    cure: /Credentials > Groups > Privileges: add DATASET_WRITE/,
  },
  'a key that may not delete': {
    key: 'no-delete',
    setting: 'api_key',
    message: /lacks the role DATASET_DELETE: volumes cannot be deleted/,
    cure: /Privileges: add DATASET_DELETE/,
  },
  'a dataset that does not exist': {
    settings: { dataset: 'tank/nowhere' },
    setting: 'dataset',
    message: /tank\/nowhere/,
    cure: /Datasets/,
  },
  'a dataset by the name of the section': {
    settings: { tn_dataset: 'tank/nowhere' },
    without: 'dataset',
    setting: 'tn_dataset',
    message: /tank\/nowhere/,
    cure: /Datasets/,
  },
  'a pool that does not exist': {
    settings: { dataset: 'pond/pve' },
    setting: 'dataset',
    message: /pool 'pond' does not exist or is not imported/,
    cure: /TrueNAS: Storage/,
  },
  'a zvol as dataset': {
    settings: { dataset: 'tank/zvol' },
    setting: 'dataset',
    message: /'tank\/zvol' is a zvol, not a dataset/,
    cure: /file system/,
  },
  'a read-only dataset': {
    settings: { dataset: 'tank/frozen' },
    setting: 'dataset',
    message: /'tank\/frozen' is read-only/,
    cure: /Read-only: Off/,
  },
  'a target that does not exist': {
    settings: { target_iqn: 'iqn.2005-10.org.freenas.ctl:other' },
    setting: 'target_iqn',
    message: /iqn\.2005-10\.org\.freenas\.ctl:other/,
    cure: /iSCSI.* > Targets/,
  },
  'a target that admits nobody': {
    settings: { target_iqn: 'nobody' },
    setting: 'target_iqn',
    message: /has no portal group and admits nobody/,
    cure: /add a group/,
  },
  'a target that demands CHAP': {
    settings: { target_iqn: 'chapped' },
    setting: 'chap_user',
    message: /demands CHAP, and no chap_user is set/,
    cure: /pvesm set new --chap_user/,
  },
  'a portal where nobody listens': {
    settings: { discovery_portal: '127.0.0.1:9' },
    setting: 'discovery_portal',
    message: /nobody answers at 127\.0\.0\.1:9 .*TrueNAS listens on/,
    cure: /Portals/,
  },
};

function sectionOf({ settings, without }: Wrong): Record<string, string | number> {
  const all = { ...sectionFor(sim, { api_timeout: 5 }), ...settings };
  if (all['api_port'] === -1) all['api_port'] = plainPort;
  return Object.fromEntries(Object.entries(all).filter(([name]) => name !== without));
}

const isChange = (method: string): boolean => /\.(?:create|update|delete|rollback|clone)$/.test(method);
const changes = (): readonly string[] => Object.keys(sim.calls()).filter(isChange);

const answer = z.object({
  storages: z.array(
    z.object({
      id: z.string(),
      ok: z.boolean(),
      faults: z.array(z.strictObject({ setting: z.string(), severity: z.string(), message: z.string(), cure: z.string() })),
    }),
  ),
});

/** `pve-truenas config check --online` on a file with this section; the key is the one that is kept for its storage. */
async function checkOnline(id: string, section: Readonly<Record<string, string | number>>) {
  const file = join(daemon.directory, 'candidate.cfg');
  const lines = Object.entries(section).map(([name, value]) => `\t${name} ${value}\n`);
  writeFileSync(file, `truenasplugin: ${id}\n${lines.join('')}`);
  let out = '';
  const exit = await run(['config', 'check', '--online', '--json', '--file', file, '--socket', daemon.socket], {
    out: (text) => void (out += text),
    err: () => undefined,
    isTerminal: false,
    env: {},
    clock: systemClock,
  });
  const [storage] = answer.parse(JSON.parse(out)).storages;
  return { exit, storage };
}

/** A daemon that has not logged in yet: it spends its allowance of logins sparingly (truenas-api 3.3). */
async function freshDaemon(): Promise<void> {
  await daemon.end('SIGTERM');
  await sim.command({ command: 'reset-rate-limit' });
  await daemon.start();
}

describe.each(Object.entries(WRONG))('%s', (_what, wrong) => {
  beforeAll(async () => {
    if (wrong.setting === 'api_key') await freshDaemon();
  });

  it('is refused by pvesm add, with setting, message and cure, and nothing is changed', async () => {
    const before = { files: pvesm.kept(), array: await contentsOf(sim) };
    sim.resetCalls();
    const { status, err } = await pvesm.change('add', 'new', sectionOf(wrong), { api_key: keys[wrong.key ?? 'right'] ?? '' });
    expect(status).toBe(1);
    const lines = err.split('\n').filter((line) => line.startsWith(`  ${wrong.setting}: `));
    const line = lines.find((one) => wrong.message.test(one)) ?? `not in: ${err}`;
    expect(line).toMatch(wrong.message);
    expect(line.slice(line.indexOf('; '))).toMatch(wrong.cure);
    expect(err).toMatch(/^State: nothing was changed$/m);
    expect({ files: pvesm.kept(), array: await contentsOf(sim) }).toEqual(before);
    expect(changes()).toEqual([]);
  });

  it('is found by config check --online', async () => {
    writeFileSync(join(daemon.directory, 'priv/probed.api_key'), keys[wrong.key ?? 'right'] ?? '', { mode: 0o600 });
    sim.resetCalls();
    const { exit, storage } = await checkOnline('probed', sectionOf(wrong));
    expect(exit).toBe(2);
    expect(storage).toMatchObject({ id: 'probed', ok: false });
    const found = storage?.faults.filter((fault) => fault.severity === 'error' && fault.setting === wrong.setting) ?? [];
    expect(found.map((fault) => fault.message).join('\n')).toMatch(wrong.message);
    expect(changes()).toEqual([]);
  });
});

describe('what no setting is to blame for', () => {
  beforeAll(freshDaemon);

  it('a stopped service is told by both, with where to start it', async () => {
    const control = sim.release === '25.04' ? 'service.stop' : 'service.control';
    await root.call(control, ...(control === 'service.stop' ? ['iscsitarget'] : ['STOP', 'iscsitarget']));
    try {
      const { status, err } = await pvesm.change('add', 'new', sectionFor(sim), { api_key: sim.apiKey });
      expect(status).toBe(1);
      expect(err).toMatch(/the iSCSI service on .* is not running; TrueNAS: System > Services > iSCSI/);
      writeFileSync(join(daemon.directory, 'priv/probed.api_key'), sim.apiKey, { mode: 0o600 });
      expect(await checkOnline('probed', sectionFor(sim))).toMatchObject({ exit: 2, storage: { ok: false } });
    } finally {
      await root.call('service.control', 'START', 'iscsitarget');
    }
  });

  it('a degraded pool is a warning, a locked dataset an error', async () => {
    writeFileSync(join(daemon.directory, 'priv/probed.api_key'), sim.apiKey, { mode: 0o600 });
    await sim.command({ command: 'pool-status', status: 'DEGRADED' });
    const degraded = await checkOnline('probed', sectionFor(sim));
    await sim.command({ command: 'pool-status', status: 'ONLINE' });
    expect(degraded).toMatchObject({ exit: 1, storage: { ok: true } });
    expect(degraded.storage?.faults).toContainEqual(
      expect.objectContaining({ severity: 'warning', message: expect.stringMatching(/DEGRADED/) as string }),
    );
    const rows = (await root.call('pool.dataset.query', [['id', '=', sim.dataset]], {})).result as object[];
    const fault = sim.faults.add({ fault: 'answer', method: 'pool.dataset.query', result: rows.map((row) => ({ ...row, locked: true })) });
    const locked = await checkOnline('probed', sectionFor(sim));
    sim.faults.remove(fault);
    expect(locked).toMatchObject({ exit: 2, storage: { ok: false } });
    expect(locked.storage?.faults).toContainEqual(
      expect.objectContaining({
        setting: 'dataset',
        severity: 'error',
        message: expect.stringMatching(/is locked/) as string,
        cure: 'TrueNAS: Datasets > Unlock',
      }),
    );
  });
});

describe('a wrong key', () => {
  beforeAll(freshDaemon);

  it('F-001: is tried once a check and not again and again', async () => {
    writeFileSync(join(daemon.directory, 'priv/probed.api_key'), keys['unknown'] ?? '', { mode: 0o600 });
    const storage = { id: 'probed', config: sectionFor(sim, { api_timeout: 5 }) };
    sim.resetCalls();
    const { error } = await daemon.ask('storage.validate', { storage, action: 'update' });
    expect(error?.message).toMatch(/^ {2}api_key: .*does not accept the API key/m);
    await daemon.ask('volume.list', { storage, deadline_ms: 2000 });
    await daemon.ask('storage.status', { storage });
    const logins = Object.entries(sim.calls()).filter(([method]) => method.startsWith('auth.login'));
    expect(logins.reduce((sum, [, count]) => sum + count, 0)).toBeLessThanOrEqual(2);
  });
});

describe('what is right', () => {
  beforeAll(freshDaemon);

  it('gets a hint for a full administrator, none for a key that may do what is needed', async () => {
    writeFileSync(join(daemon.directory, 'priv/probed.api_key'), sim.apiKey, { mode: 0o600 });
    const full = await checkOnline('probed', sectionFor(sim));
    expect(full).toMatchObject({ exit: 0, storage: { ok: true, faults: [{ setting: 'api_key', severity: 'hint' }] } });
    writeFileSync(join(daemon.directory, 'priv/probed.api_key'), keys['enough'] ?? '', { mode: 0o600 });
    expect(await checkOnline('probed', sectionFor(sim))).toMatchObject({ exit: 0, storage: { ok: true, faults: [] } });
  });

  it('is added over ws where TrueNAS is this node, with a warning', async () => {
    const section = Object.fromEntries(Object.entries(sectionFor(sim)).filter(([name]) => name !== 'fingerprint'));
    const { status, err } = await pvesm.change(
      'add',
      'plain',
      { ...section, api_scheme: 'ws', api_port: plainPort },
      { api_key: sim.apiKey },
    );
    expect({ status, err }).toEqual({
      status: 0,
      err: expect.stringMatching(/^storage 'plain': api_scheme: speaks without TLS; .*\n$/) as string,
    });
    expect((await pvesm.run(['status', 'plain'])).out).toMatch(/^plain\tactive\t/);
  });

  it('costs a check of an existing storage no login', async () => {
    expect(await pvesm.change('add', 'kept', sectionFor(sim), { api_key: sim.apiKey })).toMatchObject({ status: 0 });
    sim.resetCalls();
    expect(await pvesm.change('set', 'kept', { api_retry_max: 5 })).toMatchObject({ status: 0, err: '' });
    expect((await checkOnline('kept', sectionFor(sim))).exit).toBe(0);
    expect(Object.keys(sim.calls()).filter((method) => method.startsWith('auth.login'))).toEqual([]);
  });
});
