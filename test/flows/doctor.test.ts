import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { launchSimulator, type Simulator, type SimulatorOptions } from '../../sim/server/launch.ts';
import { makeCertificate } from '../../sim/server/certificate.ts';
import { type Outcome, runCli } from './testing/command-line.ts';
import { callArray, contentsOf, DaemonProcess, sectionFor } from './testing/daemon-process.ts';
import { blackHole, muteArray } from './testing/dead-arrays.ts';

interface Check {
  readonly name: string;
  readonly state: string;
  readonly seen: string;
  readonly cure?: string;
}

const DAY_MS = 86_400_000;
const TELL = join(import.meta.dirname, '../../systemd/tell-version');
let daemon: DaemonProcess;
/** The files of the node that the doctor looks at. */
let root: string;
let started: (() => unknown)[] = [];

beforeEach(() => {
  daemon = new DaemonProcess();
  root = join(daemon.directory, 'root');
  file('/etc/pve/.members', JSON.stringify({ nodename: 'pve1', nodelist: { pve1: { id: 1, online: 1 } } }));
});
afterEach(async () => {
  await daemon.dispose();
  for (const end of started) await end();
  started = [];
});

function file(path: string, text: string): void {
  const full = join(root, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text, { mode: 0o600 });
}

async function simulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const sim = await launchSimulator({ blocks: 'memory', delays: false, ...options });
  started.push(() => sim.stop());
  return sim;
}

/** The storage `nas` in both places where it is looked for. */
async function configure(sim: Simulator, more: Record<string, string | number> = {}, start = true): Promise<void> {
  const lines = Object.entries(sectionFor(sim, more)).map(([key, value]) => `\t${key} ${value}\n`);
  const text = `truenasplugin: nas\n${lines.join('')}\n`;
  daemon.storageCfg(text);
  daemon.secret('nas', sim.apiKey);
  file('/etc/pve/storage.cfg', text);
  file('/etc/pve/priv/storage/nas.api_key', sim.apiKey);
  if (start) await daemon.start();
}

const doctor = (...argv: readonly string[]): Promise<Outcome> => runCli(daemon, 'doctor', '--root', root, '--node', 'pve1', ...argv);

async function checks(...argv: readonly string[]): Promise<ReadonlyMap<string, Check>> {
  const { out } = await doctor('--json', ...argv);
  const { subjects } = JSON.parse(out) as { subjects: { checks: Check[] }[] };
  return new Map(subjects.flatMap((subject) => subject.checks).map((check) => [check.name, check]));
}

async function checkOf(name: string): Promise<Check | undefined> {
  return (await checks()).get(name);
}

/** All bad checks of the storage. */
async function faults(): Promise<readonly string[]> {
  const { out } = await doctor('--json');
  const { subjects } = JSON.parse(out) as { subjects: { storage: string | null; checks: Check[] }[] };
  const found = subjects.filter(({ storage }) => storage !== null).flatMap((subject) => subject.checks);
  return found.filter(({ state }) => state === 'error' || state === 'warning').map(({ name, state }) => `${name}: ${state}`);
}

describe('a storage that is well', () => {
  it('has no fault, in JSON and as text; the array is asked by the daemon alone and nothing is changed', async () => {
    const sim = await simulator();
    await configure(sim);
    await daemon.says('storage nas is healthy');
    sim.resetCalls();
    const before = await contentsOf(sim);
    expect(await faults()).toEqual([]);
    expect(Object.keys(sim.calls()).filter((method) => method.startsWith('auth.login'))).toEqual([]);
    expect(await contentsOf(sim)).toEqual(before);
    const { out } = await doctor('nas');
    expect(out).toMatch(/^storage nas: ok$/m);
    expect(out).not.toContain('\x1b');
    expect(out).not.toContain(sim.apiKey);
  });

  it('--probe makes, writes, reads and frees a disk, and leaves nothing', async () => {
    const sim = await simulator({ blocks: 'tgt' });
    await configure(sim);
    const before = await contentsOf(sim);
    const probe = (await checks('nas', '--probe')).get('probe disk');
    expect(probe).toMatchObject({ state: 'ok', seen: expect.stringContaining('read back the same') as string });
    expect(await contentsOf(sim)).toEqual(before);
    expect(daemon.journal).toEqual([]);
  });

  it('--probe that cannot read its disk frees it all the same', async () => {
    const sim = await simulator();
    await configure(sim);
    const probe = (await checks('nas', '--probe')).get('probe disk');
    expect(probe?.state).toBe('error');
    expect((await contentsOf(sim)).zvols).toEqual([]);
  });
});

describe('what is wrong on the array', () => {
  const SITUATIONS: readonly (readonly [string, string, string, (sim: Simulator) => unknown])[] = [
    ['a stopped service', 'service', 'error', (sim) => callArray(sim, 'service.control', 'STOP', 'iscsitarget', {})],
    ['a degraded pool', 'pool', 'warning', (sim) => sim.command({ command: 'pool-status', status: 'DEGRADED' })],
    ['a clock that is an hour ahead', 'clocks', 'error', (sim) => sim.command({ command: 'clock-advance', ms: 3_600_000 })],
    ['a clock that is half a minute ahead', 'clocks', 'warning', (sim) => sim.command({ command: 'clock-advance', ms: 30_000 })],
  ];
  it.each(SITUATIONS)('%s', async (_what, name, state, wrong) => {
    const sim = await simulator();
    await configure(sim);
    await daemon.says('storage nas is healthy');
    await wrong(sim);
    expect(await checkOf(name)).toMatchObject({ state, cure: expect.stringMatching(/./) as string });
  });

  it('one of two portals down', async () => {
    await configure(await simulator(), { portals: '127.0.0.1:9' });
    expect(await checkOf('portal 127.0.0.1:9')).toMatchObject({ state: 'warning' });
  });

  it('a key without roles', async () => {
    const sim = await simulator();
    await configure(sim, { 'truenas-username': 'narrow' }, false);
    daemon.secret('nas', await sim.createKey('narrow', ['READONLY_ADMIN']));
    await daemon.start();
    expect(await checkOf('roles')).toMatchObject({ state: 'error' });
  });

  it.each([
    ['pinned', true, 'warning'],
    ['not pinned', false, 'error'],
  ])('a certificate that has ended, %s', async (_what, pinned, state) => {
    const directory = mkdtempSync(join(tmpdir(), 'sim-'));
    started.push(() => rmSync(directory, { recursive: true, force: true }));
    const { certPem, keyPem } = makeCertificate(Date.now() - 5_000 * DAY_MS);
    writeFileSync(join(directory, 'server.crt'), certPem);
    writeFileSync(join(directory, 'server.key'), keyPem);
    const sim = await simulator({ state: directory });
    await configure(sim, pinned ? {} : { fingerprint: '', 'truenas-ca': sim.caFile });
    expect(await checkOf('certificate dates')).toMatchObject({ state, seen: expect.stringContaining('it has ended') as string });
  });

  it('another certificate than the pinned one', async () => {
    await configure(await simulator(), { fingerprint: Array.from({ length: 32 }, () => '00').join(':') });
    expect(await checkOf('certificate trust')).toMatchObject({
      state: 'error',
      cure: expect.stringContaining('pvesm set nas --fingerprint') as string,
    });
  });
});

describe('nothing keeps it from an answer', () => {
  it.each([
    ['mute', muteArray],
    ['without any answer to a SYN', blackHole],
  ])('an array that is %s', async (_what, make) => {
    const dead = await make();
    started.push(() => dead.end());
    await configure(await simulator(), { api_host: dead.host, api_port: dead.port });
    const seen = await checks();
    for (const name of ['TLS', 'connection']) expect(seen.get(name), name).toMatchObject({ state: 'error' });
    for (const name of ['roles', 'pool', 'service']) expect(seen.get(name), name).toMatchObject({ state: 'skipped' });
    expect(seen.get('software')?.state).toBe('ok');
  });

  it('the daemon is down: it logs in once, looks, logs out, and says so', async () => {
    const sim = await simulator();
    await configure(sim, {}, false);
    const seen = await checks();
    expect(seen.get('daemon')).toMatchObject({ state: 'error' });
    expect(seen.get('login')?.seen).toContain('logged in to TrueNAS itself');
    for (const name of ['connection', 'roles', 'pool', 'target', 'service']) expect(seen.get(name), name).toMatchObject({ state: 'ok' });
    const logins = Object.entries(sim.calls()).filter(([method]) => method.startsWith('auth.login'));
    expect(logins).toEqual([[expect.stringMatching(/^auth\.login/), 1]]);
  });

  it('storage.cfg is broken, missing, a pipe, or far too long', async () => {
    await daemon.start();
    for (const text of ['\0\x1b[31m{{{', 'truenasplugin: nas\n\tdataset ///\n', `x${'y'.repeat(3_000_000)}`]) {
      file('/etc/pve/storage.cfg', text);
      expect((await doctor()).status).toBe(2);
    }
    rmSync(join(root, 'etc/pve/storage.cfg'));
    expect((await checkOf('storage.cfg'))?.state).toBe('warning');
    execFileSync('mkfifo', [join(root, 'etc/pve/storage.cfg')]);
    expect(await checkOf('storage.cfg')).toMatchObject({ state: 'error', seen: expect.stringContaining('not done within') as string });
  });
});

describe('--bundle', () => {
  const PLANTED = {
    chap: 'chap+Planted/14=',
    iscsid: 'iscsidPlanted-0815',
    record: 'recordPlanted-4711',
    recordOfDebian13: 'newRecordPlanted-4712',
    discovery: 'discoveryPlanted-0042',
    pbs: 'backupServerPlanted!99',
    inline: '9-InlinePlantedInlinePlantedInlinePlantedInlinePlantedInlinePlanted12345',
    url: 'urlUserPlanted77',
  };

  it('holds what helps, and no secret in any file, whole, in part or coded', async () => {
    const sim = await simulator();
    await configure(sim);
    const secrets = [sim.apiKey, ...Object.values(PLANTED)];
    file('/etc/pve/priv/storage/nas.chap_password', PLANTED.chap);
    file('/etc/pve/priv/storage/pbs.pw', PLANTED.pbs);
    const cfg = readFileSync(join(root, 'etc/pve/storage.cfg'), 'utf8');
    file(
      '/etc/pve/storage.cfg',
      `${cfg}truenasplugin: old\n\tapi_host https://root:${PLANTED.url}@nas/\n\tapi_key ${PLANTED.inline}\n\nnfs: other\n\tserver secret-server\n`,
    );
    file('/etc/iscsi/iscsid.conf', `node.session.auth.password = ${PLANTED.iscsid}\nnode.session.timeo.replacement_timeout = 15\n`);
    file('/etc/iscsi/nodes/iqn.x/192.0.2.1,3260,1/default', `node.name = iqn.x\nnode.session.auth.password = ${PLANTED.record}\n`);
    file('/var/lib/iscsi/nodes/iqn.x/192.0.2.1,3260', `node.name = iqn.x\nnode.session.auth.password_in = ${PLANTED.recordOfDebian13}\n`);
    file('/var/lib/iscsi/send_targets/192.0.2.1,3260/st_config', `discovery.sendtargets.auth.password = ${PLANTED.discovery}\n`);
    // log lines and files of others that hold secrets in every form
    const coded = secrets.flatMap((one) => [
      `said ${one}`,
      one.slice(0, 10),
      one.slice(-11),
      Buffer.from(one).toString('base64'),
      Buffer.from(`root:${one}`).toString('base64'),
      Buffer.from(one).toString('hex'),
      encodeURIComponent(one),
      JSON.stringify(JSON.stringify({ api_key: one })),
      `https://root:${one}@nas/`,
    ]);
    for (const path of ['/etc/hosts', '/etc/multipath.conf', '/etc/resolv.conf', '/etc/os-release'])
      file(path, `kept-${path}\n${coded.join('\n')}\n`);
    const bundle = join(daemon.directory, 'support.tar.gz');
    const { out } = await doctor('--bundle', bundle);
    expect(out).toContain('secrets removed');
    expect(statSync(bundle).mode & 0o777).toBe(0o600);

    const into = join(daemon.directory, 'unpacked');
    mkdirSync(into);
    execFileSync('tar', ['-xzf', bundle, '-C', into]);
    const names = readdirSync(into, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(into, name)).isFile());
    const texts = new Map(names.map((name) => [name.replace('pve-truenas-doctor/', ''), readFileSync(join(into, name), 'utf8')]));
    expect([...texts.keys()]).toEqual(
      expect.arrayContaining(['README.txt', 'doctor.json', 'doctor.txt', 'etc/storage.cfg', 'daemon/status.json', 'logs/pve-truenasd.txt']),
    );
    for (const [name, text] of texts) {
      for (const secret of secrets) {
        for (const form of [secret, Buffer.from(secret).toString('base64').slice(0, -4), Buffer.from(secret).toString('hex')]) {
          for (let at = 0; at + 8 <= form.length; at += 1) {
            if (text.includes(form.slice(at, at + 8))) throw new Error(`${name} holds ${form.slice(at, at + 8)} of ${secret}`);
          }
        }
      }
      // what is base64 in there decodes to none of them
      for (const [word] of text.matchAll(/[A-Za-z0-9+/_-]{12,}/g)) {
        const decoded = Buffer.from(word, 'base64').toString('latin1');
        for (const secret of secrets) if (decoded.includes(secret.slice(2, 10))) throw new Error(`${name} holds ${secret} coded`);
      }
    }
    for (const path of ['hosts', 'multipath.conf']) expect(texts.get(`etc/${path}`)).toContain(`kept-/etc/${path}`);
    expect(texts.get('etc/storage.cfg')).toMatch(/dataset .*\n/);
    expect(texts.get('etc/storage.cfg')).not.toContain('secret-server');
    expect(texts.get('etc/iscsid.conf')).toContain('replacement_timeout = 15');
  });

  it('never writes over a file, and says so before anything is looked at', async () => {
    const bundle = join(daemon.directory, 'there');
    writeFileSync(bundle, 'mine');
    const { status, err } = await doctor('--bundle', bundle);
    expect({ status, err }).toEqual({ status: 3, err: expect.stringContaining('it exists already') as string });
    expect(readFileSync(bundle, 'utf8')).toBe('mine');
    expect((await doctor('--bundle', join(daemon.directory, 'no/dir'))).status).toBe(3);
  });
});

describe('the version for the other nodes', () => {
  function tell(version: string): void {
    const program = join(daemon.directory, 'program');
    writeFileSync(program, `#!/bin/sh\necho ${version}\n`);
    chmodSync(program, 0o755);
    execFileSync(TELL, [join(root, 'etc/pve'), 'pve1', program]);
  }
  it('is told at the start of the service, and found by the doctor', async () => {
    expect(await checkOf('versions in the cluster')).toMatchObject({
      state: 'warning',
      seen: expect.stringContaining('pve1 unknown') as string,
    });
    tell('1.2.3');
    expect(await checkOf('versions in the cluster')).toMatchObject({ state: 'ok', seen: 'pve1 1.2.3' });
    const written = statSync(join(root, 'etc/pve/nodes/pve1/pve-truenas-version')).ino;
    tell('1.2.3');
    expect(statSync(join(root, 'etc/pve/nodes/pve1/pve-truenas-version')).ino).toBe(written);
    tell('1.2.4');
    expect((await checkOf('versions in the cluster'))?.seen).toBe('pve1 1.2.4');
    expect(readdirSync(join(root, 'etc/pve/nodes/pve1'))).toEqual(['pve-truenas-version']);
  });
  it('is not written where no cluster file system is mounted', () => {
    rmSync(join(root, 'etc/pve'), { recursive: true });
    tell('1.2.3');
    expect(existsSync(join(root, 'etc/pve'))).toBe(false);
  });
});
