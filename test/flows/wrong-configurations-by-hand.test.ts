import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { run } from '../../src/cli/program.ts';
import { systemClock } from '../../src/core/system-clock.ts';
import { runCli } from './testing/command-line.ts';
import { DaemonProcess, sectionFor } from './testing/daemon-process.ts';
import { PvesmLite } from './testing/pvesm-lite.ts';

/** Settings that somebody wrote into storage.cfg: this one storage is inactive, with the reason, and nothing else is touched. */

let sim: Simulator;
const daemon = new DaemonProcess();
const pvesm = new PvesmLite(daemon);
beforeAll(async () => {
  sim = await launchSimulator({ blocks: 'memory', delays: false });
  for (const id of ['edited', 'other']) daemon.secret(id, sim.apiKey);
  await daemon.start();
});
afterAll(async () => {
  await daemon.dispose();
  await sim.stop();
});

const written = (id: string, settings: Readonly<Record<string, string | number>>): string =>
  `truenasplugin: ${id}\n${Object.entries(settings)
    .map(([name, value]) => `\t${name} ${value}\n`)
    .join('')}\n`;

async function configCheck(): Promise<{
  exit: number;
  faults: readonly { setting: string; severity: string; message: string; cure: string }[];
}> {
  let out = '';
  const exit = await run(['config', 'check', '--json', '--file', join(daemon.directory, 'storage.cfg')], {
    out: (text) => void (out += text),
    err: () => undefined,
    isTerminal: false,
    env: {},
    clock: systemClock,
  });
  const fault = z.object({ setting: z.string(), severity: z.string(), message: z.string(), cure: z.string().min(1) });
  const { storages } = z.object({ storages: z.array(z.object({ id: z.string(), faults: z.array(fault) })) }).parse(JSON.parse(out));
  return { exit, faults: storages.find((storage) => storage.id === 'edited')?.faults ?? [] };
}

describe.each([
  ['a number out of its range', { api_retry_max: 11 }, 'api_retry_max', /'11' is not a whole number from 0 to 10/],
  ['a number that is none', { api_timeout: 'soon' }, 'api_timeout', /'soon' is not a number/],
  ['a word out of none of its words', { tn_compression: 'lzma' }, 'tn_compression', /'lzma' is not known/],
  ['an initiator that is none', { 'truenas-initiator': 'qemo' }, 'truenas-initiator', /'qemo' is not known/],
  ['a boolean in words that PVE passes over', { tn_sparse: 'no' }, 'tn_sparse', /takes only 1 and 0 in storage\.cfg and passes over 'no'/],
  ['a boolean that is none', { api_insecure: 'perhaps' }, 'api_insecure', /'perhaps' is neither yes nor no/],
  ['a dataset with a blank', { dataset: 'tank/my disks' }, 'dataset', /character ' ' at position 8/],
  ['a target with a blank', { target_iqn: 'a b' }, 'target_iqn', /character ' ' at position 2/],
  ['a portal that is none', { portals: '192.0.2.1:x' }, 'portals', /'x' is not a port/],
  ['ws to another host', { api_host: '192.0.2.1', api_scheme: 'ws' }, 'api_scheme', /unencrypted/],
  ['two names that differ', { tn_api_host: 'elsewhere' }, 'tn_api_host', /two names of one setting/],
  [
    'a CHAP secret of five characters',
    { 'truenas-initiator': 'kernel', chap_user: 'pve', chap_password: 'short' },
    'chap_password',
    /has 5 characters; TrueNAS takes 12 to 16/,
  ],
] satisfies readonly [string, Record<string, string | number>, string, RegExp][])('%s', (_what, wrong, setting, message) => {
  const text = (): string => `${written('edited', { ...sectionFor(sim), ...wrong })}${written('other', sectionFor(sim))}`;

  it('makes this one storage inactive, with the reason; the other one works', async () => {
    daemon.storageCfg(text());
    sim.resetCalls();
    const { status, out, err } = await pvesm.run(['status']);
    expect(status).toBe(0);
    expect(out).toMatch(/^edited\tinactive\t/m);
    expect(out).toMatch(/^other\tactive\t/m);
    const reason = err.split('\n').find((line) => line.startsWith("storage 'edited' cannot be used")) ?? err;
    expect(reason).toMatch(message);
    expect(reason).toContain(`${setting}: `);
    expect(err).not.toContain("'other'");
    expect(readFileSync(join(daemon.directory, 'storage.cfg'), 'utf8')).toBe(text());
  });

  it('is found by config check', async () => {
    daemon.storageCfg(text());
    const { exit, faults } = await configCheck();
    expect(exit).toBe(2);
    expect(faults).toContainEqual(
      expect.objectContaining({ setting, severity: 'error', message: expect.stringMatching(message) as string }),
    );
  });

  it('stays in storage.cfg when PVE writes the file for another storage', async () => {
    daemon.storageCfg(text());
    expect(await pvesm.change('set', 'other', { content: 'images' })).toMatchObject({ status: 0 });
    // what PVE itself passes over it also loses; the default counts then, as it does for PVE
    const lost = setting === 'tn_sparse' || setting === 'api_insecure';
    const { exit } = await configCheck();
    expect(exit).toBe(lost ? 0 : 2);
  });
});

it('the command line lists the other storage, and tells that this one is missing', async () => {
  daemon.storageCfg(`${written('edited', { ...sectionFor(sim), api_retry_max: 11 })}${written('other', sectionFor(sim))}`);
  const storage = { id: 'other', config: sectionFor(sim) };
  const { volname } = await daemon.call('volume.allocate', { storage, vmid: 100, size: 2 ** 30 });
  const listed = await runCli(daemon, 'list');
  expect(listed.status).toBe(2);
  expect(listed.out).toContain(`other:${volname}`);
  expect(listed.err).toMatch(/Error: edited: storage 'edited' cannot be used[^]*api_retry_max: '11' is not/);
  expect((await runCli(daemon, 'list', 'other')).status).toBe(0);
  const orphans = await runCli(daemon, 'orphans', 'edited');
  expect(orphans.out).toMatch(/^edited: could not be looked at: .*\n {2}api_retry_max: /);
  await daemon.call('volume.free', { storage, volume: volname });
});

it('a corrected line makes the storage active again, without a restart', async () => {
  daemon.storageCfg(written('edited', { ...sectionFor(sim), api_retry_max: 11 }));
  expect((await pvesm.run(['status', 'edited'])).out).toMatch(/^edited\tinactive/);
  daemon.storageCfg(written('edited', { ...sectionFor(sim), api_retry_max: 10 }));
  expect(await pvesm.run(['status', 'edited'])).toMatchObject({ err: '', out: expect.stringMatching(/^edited\tactive/) as string });
});
