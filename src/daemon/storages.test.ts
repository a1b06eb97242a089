import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_METER } from '../core/metrics.ts';
import { ManualClock, RecordingLog } from '../core/testing/manual-clock.ts';
import { FakeHost } from '../host/testing/fake-host.ts';
import { MemoryJournal } from '../volumes/testing/world.ts';
import { LunRestFile } from './lun-rest-file.ts';
import { Storages } from './storages.ts';

const CONFIG = { api_host: 'nas.example.org', dataset: 'tank/pve', target_iqn: 'pve', discovery_portal: '192.0.2.10' };
const SECTION = Object.entries(CONFIG).reduce((text, [name, value]) => `${text}\t${name} ${value}\n`, 'truenasplugin: nas\n');

let directory: string;
let storages: Storages;
const cfg = (): string => join(directory, 'storage.cfg');

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'storages-'));
  writeFileSync(cfg(), SECTION);
  writeFileSync(join(directory, 'nas.api_key'), `1-${'k'.repeat(64)}`, { mode: 0o600 });
  const clock = new ManualClock();
  const log = new RecordingLog();
  const host = new FakeHost();
  storages = new Storages({
    storageCfg: cfg(),
    privDir: directory,
    node: 'pve1',
    hosts: { kernel: host, direct: host },
    journal: new MemoryJournal(),
    lunRests: await LunRestFile.open(join(directory, 'lun-rests.json'), clock, log),
    clock,
    log,
    meter: NO_METER,
  });
  await storages.resolve({ id: 'nas', config: CONFIG });
});

afterEach(async () => {
  await storages.close();
  rmSync(directory, { recursive: true, force: true });
});

const known = (): readonly string[] => storages.known().map(({ config }) => config.id);

describe('a storage that nobody asks for', () => {
  it('is kept while it is in storage.cfg, or when that cannot be told', async () => {
    await storages.forgetUnconfigured('nas');
    expect(known()).toEqual(['nas']);
    rmSync(cfg());
    mkdirSync(cfg()); // unreadable, which is not "empty" (law 3)
    await storages.forgetUnconfigured('nas');
    expect(known()).toEqual(['nas']);
  });

  it('is forgotten, and its session ended, when another node removed it from storage.cfg', async () => {
    const [context] = storages.known();
    writeFileSync(cfg(), 'dir: local\n\tpath /var/lib/vz\n');
    await storages.forgetUnconfigured('nas');
    expect(known()).toEqual([]);
    expect(context?.array.connection().state).toBe('closed');
  });
});
