import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Simulator, launchSimulator } from '../../sim/server/launch.ts';
import { TestingClient } from '../../sim/server/testing-client.ts';
import { type ArrayChange, type CreateZvol, RELEASES } from '../../src/core/array-port.ts';
import { deadlineAfter } from '../../src/core/deadline.ts';
import { OutcomeUnknownError, type StorageError } from '../../src/core/errors.ts';
import type { Deadline, Log } from '../../src/core/ports.ts';
import { systemClock } from '../../src/core/system-clock.ts';
import { type TrueNasArray, createArray } from '../../src/truenas/array.ts';
import type { ArrayConfig } from '../../src/truenas/array-key.ts';
import { SchemaCheck } from './truenas-schema-check.ts';

const GIB = 1024 ** 3;
const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, child: () => quiet };
const soon = (ms = 100_000): Deadline => deadlineAfter(systemClock, ms, 'contract test');
const schemas = SchemaCheck.find();

function configOf(simulator: Simulator, over: Partial<ArrayConfig> = {}): ArrayConfig {
  return {
    apiHost: simulator.host,
    apiPort: simulator.port,
    apiScheme: 'wss',
    apiInsecure: false,
    fingerprint: null,
    caFile: simulator.caFile,
    apiUsername: simulator.username,
    preferIpv4: false,
    apiTimeoutMs: 60_000,
    apiRetryMax: 3,
    apiRetryDelayMs: 100,
    connectionMaxAgeMs: 3_600_000,
    ...over,
  };
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as StorageError).code;
  }
  return 'no error';
}

function zvol(id: string, over: Partial<CreateZvol> = {}): CreateZvol {
  const userProperties = { 'pve-truenas:owner': 'node1/42' };
  return { id, volsize: GIB, volblocksize: 16_384, sparse: true, comments: 'test disk', userProperties, ...over };
}

describe.each(RELEASES)('ArrayPort on TrueNAS %s', { timeout: 120_000 }, (release) => {
  let simulator: Simulator;
  let array: TrueNasArray;
  let dataset: string;
  const directory = mkdtempSync(join(tmpdir(), 'pve-truenas-contract-'));
  const wireLog = join(directory, 'calls.jsonl');
  const changes: ArrayChange[] = [];

  beforeAll(async () => {
    simulator = await launchSimulator({ release, delays: false, wireLog });
    dataset = simulator.dataset ?? '';
    array = createArray({ config: configOf(simulator), apiKey: () => Promise.resolve(simulator.apiKey), clock: systemClock, log: quiet });
    array.onChange((change) => changes.push(change));
  }, 120_000);
  afterAll(async () => {
    await array.close();
    await simulator.stop();
    rmSync(directory, { recursive: true });
  });

  it('connects with few calls and knows the release', async () => {
    simulator.resetCalls();
    const { release: found, version } = await array.ready(soon());
    expect(found).toBe(release);
    expect(version).toMatch(/^TrueNAS-/);
    const calls = simulator.calls();
    expect(calls['auth.login_ex']).toBe(release === '26.0' ? 2 : 1);
    expect(Object.values(calls).reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(10);
    await array.ping(soon());
  });

  it('reads the dataset, and null for one that is absent', async () => {
    const info = await array.dataset(dataset, soon());
    expect(info).toMatchObject({ id: dataset, type: 'FILESYSTEM', quota: null, readonly: false, locked: false });
    expect(info?.available).toBeGreaterThan(GIB);
    expect(await array.dataset(`${dataset}/nothing`, soon())).toBeNull();
    expect(await codeOf(array.datasetAndZvol('tank/nothing', 'tank/nothing/x', soon()))).toBe('DATASET_MISSING');
    expect((await array.datasetAndZvol(dataset, `${dataset}/x`, soon())).zvol).toBeNull();
    const [pool = ''] = dataset.split('/');
    const both = await array.datasets([dataset, pool, `${dataset}/nothing`], soon());
    expect(both.map((each) => each.id).sort()).toEqual([pool, dataset]);
  });

  it('reads targets, portals and the service', async () => {
    const targets = await array.targets(soon());
    expect(targets.map((target) => target.iqn)).toContain(simulator.targetIqn);
    expect(targets[0]?.groups.length).toBeGreaterThan(0);
    expect((await array.portals(soon()))[0]?.listen.length).toBeGreaterThan(0);
    expect(await array.serviceRunning('iscsitarget', soon())).toBe(true);
  });

  it('makes, reads, grows and deletes a zvol, with its mark', async () => {
    const id = `${dataset}/vm-100-disk-0`;
    const made = await array.createZvol(zvol(id), soon());
    expect(made).toMatchObject({ id, volsize: GIB, volblocksize: 16_384, origin: null });
    expect(made.userProperties['pve-truenas:owner']).toBe('node1/42');
    expect(await array.zvol(id, soon())).toMatchObject({ id, volsize: GIB, userProperties: made.userProperties });
    expect((await array.zvols(dataset, soon())).map((each) => each.id)).toEqual([id]);
    expect(await array.zvols('tank', soon())).toEqual([]);
    const both = await array.datasetAndZvol(dataset, id, soon());
    expect([both.dataset.id, both.zvol?.volsize]).toEqual([dataset, GIB]);
    expect(await codeOf(array.createZvol(zvol(id), soon()))).toBe('VOLUME_EXISTS');
    await array.resizeZvol(id, 2 * GIB, false, soon());
    expect((await array.zvol(id, soon()))?.volsize).toBe(2 * GIB);
    expect(await codeOf(array.resizeZvol(id, GIB, false, soon()))).toBe('SHRINK_REFUSED');
    await array.deleteZvol(id, soon());
    expect(await array.zvol(id, soon())).toBeNull();
    expect(await codeOf(array.deleteZvol(id, soon()))).toBe('VOLUME_MISSING');
    expect(await codeOf(array.resizeZvol(id, GIB, false, soon()))).toBe('VOLUME_MISSING');
  });

  it('makes volumes of any exact size, thin and thick', async () => {
    const efi = `${dataset}/vm-101-disk-0`;
    const thick = `${dataset}/vm-101-disk-1`;
    const before = (await array.dataset(dataset, soon()))?.available ?? 0;
    expect((await array.createZvol(zvol(efi, { volsize: 540_672, compression: 'LZ4' }), soon())).volsize).toBe(540_672);
    await array.createZvol(zvol(thick, { sparse: false, volblocksize: 512 }), soon());
    const after = (await array.dataset(dataset, soon()))?.available ?? 0;
    expect(before - after).toBeGreaterThanOrEqual(GIB);
    await array.deleteZvol(efi, soon());
    await array.deleteZvol(thick, soon());
  });

  it('says why a zvol cannot be made', async () => {
    expect(await codeOf(array.createZvol(zvol(`${dataset}/vm-1-disk-0`, { volsize: 2 ** 50 }), soon()))).toBe('NO_SPACE');
    expect(await codeOf(array.createZvol(zvol(`${dataset}/no/vm-1-disk-0`), soon()))).toBe('DATASET_MISSING');
    expect(await codeOf(array.createZvol(zvol(`${dataset}/vm-1-disk-0`, { volsize: GIB + 512 }), soon()))).toBe('SIZE_INVALID');
    expect(await array.zvols(dataset, soon())).toEqual([]);
  });

  it('exports a zvol in three calls and takes it back, as the alloc and free of a disk do', async () => {
    const [target] = await array.targets(soon());
    const id = `${dataset}/vm-102-disk-0`;
    simulator.resetCalls();
    await array.createZvol(zvol(id), soon());
    const extent = await array.createExtent({ name: 'vm-102-disk-0', zvol: id, blocksize: 512, comment: 'c' }, soon());
    const mapping = await array.createMapping(target?.id ?? 0, extent.id, null, soon());
    expect(simulator.calls()).toEqual({ 'pool.dataset.create': 1, 'iscsi.extent.create': 1, 'iscsi.targetextent.create': 1 });
    expect(extent).toMatchObject({ disk: `zvol/${id}`, blocksize: 512, enabled: true, comment: 'c' });
    expect(extent.naa).toMatch(/^0x6589cfc000000[0-9a-f]{19}$/);
    expect(mapping).toMatchObject({ target: target?.id, extent: extent.id, lun: 0 });
    expect(await array.extents(soon())).toEqual([extent]);
    expect(await array.extent(extent.id, soon())).toEqual(extent);
    expect(await array.extentByName(extent.name, soon())).toEqual(extent);
    expect(await array.extentByName('other', soon())).toBeNull();
    expect(await array.extent(4711, soon())).toBeNull();
    expect(await array.mappings(soon())).toEqual([mapping]);
    expect(await array.mapping(mapping.id, soon())).toEqual(mapping);
    expect(await array.mappingsOfTarget(mapping.target, soon())).toEqual([mapping]);
    expect(await array.mappingsOfTarget(4711, soon())).toEqual([]);
    expect(await array.mappingsOfExtent(extent.id, soon())).toEqual([mapping]);
    expect(await codeOf(array.createExtent({ name: extent.name, zvol: id, blocksize: 512, comment: '' }, soon()))).toBe('VOLUME_EXISTS');
    expect(await codeOf(array.createMapping(mapping.target, extent.id, 5, soon()))).toBe('VOLUME_BUSY');
    simulator.resetCalls();
    await array.deleteMapping(mapping.id, soon());
    await array.deleteExtent(extent.id, soon());
    await array.deleteZvol(id, soon());
    expect(simulator.calls()).toEqual({ 'iscsi.targetextent.delete': 1, 'iscsi.extent.delete': 1, 'pool.dataset.delete': 1 });
    expect(await array.mapping(mapping.id, soon())).toBeNull();
    expect(await codeOf(array.deleteMapping(mapping.id, soon()))).toBe('EXPORT_MISSING');
    expect(await codeOf(array.deleteExtent(extent.id, soon()))).toBe('EXPORT_MISSING');
  });

  it('refuses a LUN number that is taken', async () => {
    const [target] = await array.targets(soon());
    const made: [string, number, number][] = [];
    for (const number of [0, 1]) {
      const id = `${dataset}/vm-103-disk-${number}`;
      await array.createZvol(zvol(id), soon());
      const extent = await array.createExtent({ name: `vm-103-disk-${number}`, zvol: id, blocksize: 4096, comment: '' }, soon());
      const mapped = number === 0 ? await array.createMapping(target?.id ?? 0, extent.id, 7, soon()) : null;
      if (mapped === null) expect(await codeOf(array.createMapping(target?.id ?? 0, extent.id, 7, soon()))).toBe('LUN_CONFLICT');
      made.push([id, extent.id, mapped?.id ?? 0]);
    }
    for (const [id, extent, mapping] of made) {
      if (mapping !== 0) await array.deleteMapping(mapping, soon());
      await array.deleteExtent(extent, soon());
      await array.deleteZvol(id, soon());
    }
  });

  it('takes, lists, rolls back and deletes snapshots', async () => {
    const id = `${dataset}/vm-104-disk-0`;
    await array.createZvol(zvol(id), soon());
    const one = await array.createSnapshot(id, 'one', soon());
    expect(one).toMatchObject({ id: `${id}@one`, dataset: id, name: 'one' });
    expect(await codeOf(array.createSnapshot(id, 'one', soon()))).toBe('SNAPSHOT_EXISTS');
    const two = await array.createSnapshot(id, 'two', soon());
    expect(two.createtxg).toBeGreaterThan(one.createtxg);
    const listed = await array.snapshots(id, soon());
    expect(listed.map((each) => each.name).sort()).toEqual(['one', 'two']);
    expect(listed[0]?.creation).toBeGreaterThan(1_600_000_000);
    expect((await array.snapshot(`${id}@one`, soon()))?.createtxg).toBe(one.createtxg);
    expect(await array.snapshot(`${id}@no`, soon())).toBeNull();
    expect(await array.clonesOf(`${id}@one`, soon())).toEqual([]);
    expect(await codeOf(array.rollback(`${id}@one`, soon()))).toBe('ROLLBACK_BLOCKED');
    await array.rollback(`${id}@two`, soon());
    expect(await codeOf(array.deleteZvol(id, soon()))).not.toBe('no error');
    await array.deleteSnapshot(`${id}@two`, soon());
    await array.rollback(`${id}@one`, soon());
    await array.deleteSnapshot(`${id}@one`, soon());
    expect(await codeOf(array.deleteSnapshot(`${id}@one`, soon()))).toBe('SNAPSHOT_MISSING');
    expect(await array.snapshots(id, soon())).toEqual([]);
    await array.deleteZvol(id, soon());
  });

  it('reads the pool with its health', async () => {
    expect(await array.pool('tank', soon())).toEqual({ name: 'tank', status: 'ONLINE', healthy: true, detail: null });
    expect(await array.pool('other', soon())).toBeNull();
    simulator.array.controls.setPool('DEGRADED', 'One disk is missing.');
    expect(await array.pool('tank', soon())).toEqual({ name: 'tank', status: 'DEGRADED', healthy: false, detail: 'One disk is missing.' });
    simulator.array.controls.setPool('FAULTED');
    expect((await array.pool('tank', soon()))?.detail).toContain('insufficient replicas');
    expect(await codeOf(array.createZvol(zvol(`${dataset}/vm-108-disk-0`), soon()))).not.toBe('no error');
    simulator.array.controls.setPool('ONLINE');
    expect(await array.zvols(dataset, soon())).toEqual([]);
  });

  it('reads who is logged in to the targets', async () => {
    expect(await array.targetSessions(soon())).toEqual([]);
    const [target] = await array.targets(soon());
    const id = `${dataset}/vm-108-disk-0`;
    await array.createZvol(zvol(id), soon());
    const extent = await array.createExtent({ name: 'vm-108-disk-0', zvol: id, blocksize: 512, comment: '' }, soon());
    const mapping = await array.createMapping(target?.id ?? 0, extent.id, null, soon());
    const session = { target: target?.iqn ?? '', initiator: 'iqn.1993-08.org.debian:01:node1', address: '10.0.0.1' };
    const logout = simulator.array.controls.openSession(session);
    expect(await array.targetSessions(soon())).toEqual([session]);
    expect(await codeOf(array.deleteMapping(mapping.id, soon()))).toBe('no error');
    logout?.();
    expect(await array.targetSessions(soon())).toEqual([]);
    await array.deleteExtent(extent.id, soon());
    await array.deleteZvol(id, soon());
  });

  it('reads the roles of the key', async () => {
    expect(await array.roles(soon())).toContain('FULL_ADMIN');
    const key = await simulator.createKey('narrow', ['DATASET_READ', 'SHARING_ISCSI_WRITE']);
    const config = configOf(simulator, { apiUsername: 'narrow' });
    const narrow = createArray({ config, apiKey: () => Promise.resolve(key), clock: systemClock, log: quiet });
    const held = await narrow.roles(soon());
    expect(held).toEqual(expect.arrayContaining(['DATASET_READ', 'SHARING_ISCSI_WRITE', 'SHARING_ISCSI_EXTENT_WRITE']));
    expect(held).not.toContain('DATASET_WRITE');
    await narrow.close();
  });

  it('reads and deletes namespaces; there are none on 25.04', async () => {
    expect(await array.namespaces(soon())).toEqual([]);
    if (release === '25.04') return;
    const admin = await TestingClient.open(simulator);
    await admin.login(simulator);
    const id = `${dataset}/vm-110-disk-0`;
    await array.createZvol(zvol(id), soon());
    await admin.call('nvmet.subsys.create', { name: 'pve', subnqn: 'nqn.2005-10.org.freenas.ctl:pve' });
    await admin.call('nvmet.namespace.create', { subsys_id: 1, device_type: 'ZVOL', device_path: `zvol/${id}` });
    const [found] = await array.namespaces(soon());
    expect(found).toMatchObject({
      nsid: 1,
      subsystem: { id: 1, name: 'pve', nqn: 'nqn.2005-10.org.freenas.ctl:pve' },
      disk: `zvol/${id}`,
      enabled: true,
    });
    expect(found?.uuid).toMatch(/^[0-9a-f-]{36}$/);
    const extent = { name: 'vm-110-disk-0', zvol: id, blocksize: 512, comment: '' } as const;
    expect(await codeOf(array.createExtent(extent, soon()))).not.toBe('no error');
    await array.deleteNamespace(found?.id ?? 0, soon());
    expect(await array.namespaces(soon())).toEqual([]);
    expect(await codeOf(array.deleteNamespace(found?.id ?? 0, soon()))).not.toBe('no error');
    await array.deleteZvol(id, soon());
    admin.socket.close();
  });

  it('reads which snapshots are held', async () => {
    const id = `${dataset}/vm-109-disk-0`;
    await array.createZvol(zvol(id), soon());
    expect(await array.heldSnapshots(id, soon())).toEqual([]);
    const kept = await array.createSnapshot(id, 'kept', soon());
    await array.createSnapshot(id, 'free', soon());
    expect(await array.heldSnapshots(id, soon())).toEqual([]);
    const admin = await TestingClient.open(simulator);
    await admin.login(simulator);
    const namespace = release === '25.04' ? 'zfs.snapshot' : 'pool.snapshot';
    expect((await admin.call(`${namespace}.hold`, kept.id, {})).error).toBeUndefined();
    expect(await array.heldSnapshots(id, soon())).toEqual(['kept']);
    expect(await codeOf(array.deleteSnapshot(kept.id, soon()))).not.toBe('no error');
    expect((await admin.call(`${namespace}.release`, kept.id, {})).error).toBeUndefined();
    expect(await array.heldSnapshots(id, soon())).toEqual([]);
    admin.socket.close();
    await array.deleteSnapshot(kept.id, soon());
    await array.deleteSnapshot(`${id}@free`, soon());
    await array.deleteZvol(id, soon());
  });

  it('hears what changes', async () => {
    changes.length = 0;
    const id = `${dataset}/vm-105-disk-0`;
    await array.createZvol(zvol(id), soon());
    const extent = await array.createExtent({ name: 'vm-105-disk-0', zvol: id, blocksize: 512, comment: '' }, soon());
    await array.deleteExtent(extent.id, soon());
    await array.deleteZvol(id, soon());
    await array.ping(soon());
    expect(changes).toContainEqual({ kind: 'zvol', id, change: 'added' });
    expect(changes).toContainEqual({ kind: 'extent', id: extent.id, change: 'added' });
    expect(changes).toContainEqual({ kind: 'extent', id: extent.id, change: 'removed' });
    expect(changes).toContainEqual({ kind: 'zvol', id, change: 'removed' });
  });

  it('names the role that a user lacks', async () => {
    const key = await simulator.createKey('reader', ['READONLY_ADMIN']);
    const config = configOf(simulator, { apiUsername: 'reader' });
    const reader = createArray({ config, apiKey: () => Promise.resolve(key), clock: systemClock, log: quiet });
    expect(await reader.zvols(dataset, soon())).toEqual([]);
    const error = await reader.createZvol(zvol(`${dataset}/vm-106-disk-0`), soon()).catch((thrown: unknown) => thrown as StorageError);
    expect(error).toMatchObject({ code: 'NOT_AUTHORIZED' });
    expect(JSON.stringify((error as StorageError).hints)).toContain('DATASET_WRITE');
    await reader.close();
  });

  it('logs in with the key alone where no user is named', async () => {
    const config = configOf(simulator, { apiUsername: null });
    const other = createArray({ config, apiKey: () => Promise.resolve(simulator.apiKey), clock: systemClock, log: quiet });
    await other.ready(soon());
    await other.close();
  });

  it('stops at a wrong key', async () => {
    const wrong = `1-${'x'.repeat(64)}`;
    const other = createArray({ config: configOf(simulator), apiKey: () => Promise.resolve(wrong), clock: systemClock, log: quiet });
    expect(await codeOf(other.ready(soon()))).toBe('AUTH_FAILED');
    expect(await codeOf(other.ready(soon()))).toBe('AUTH_FAILED');
    expect(other.connection()).toMatchObject({ state: 'refused', logins: 1 });
    await other.close();
  });

  it('trusts a pinned fingerprint and nothing else then', async () => {
    const pinned = (fingerprint: string | null): TrueNasArray => {
      const config = configOf(simulator, { caFile: null, fingerprint });
      return createArray({ config, apiKey: () => Promise.resolve(simulator.apiKey), clock: systemClock, log: quiet });
    };
    const right = pinned(simulator.fingerprint);
    await right.ready(soon());
    await right.close();
    for (const fingerprint of [null, simulator.fingerprint.replace(/^../, (pair) => (pair === '00' ? '01' : '00'))]) {
      const wrong = pinned(fingerprint);
      const error = await wrong.ready(soon()).catch((thrown: unknown) => thrown as StorageError);
      expect(error).toMatchObject({ code: 'TLS_UNTRUSTED' });
      expect((error as StorageError).message).toContain(simulator.fingerprint);
      await wrong.close();
    }
  });

  it('knows nothing of a create whose answer was lost; it was made once (F-302)', async () => {
    const id = `${dataset}/vm-107-disk-0`;
    simulator.faults.add({ fault: 'cut-after', method: 'pool.dataset.create' });
    await expect(array.createZvol(zvol(id), soon())).rejects.toBeInstanceOf(OutcomeUnknownError);
    expect((await array.zvol(id, soon()))?.userProperties['pve-truenas:owner']).toBe('node1/42');
    simulator.faults.clear();
    await array.deleteZvol(id, soon());
  });

  // The published schemas lie beside the project, not in it; where they are not, the title says so.
  it.skipIf(schemas === null)(
    `sent and got nothing that the published schemas reject${schemas === null ? ` (${SchemaCheck.reason})` : ''}`,
    () => {
      const lines = readFileSync(wireLog, 'utf8').trim().split('\n');
      expect(lines.length).toBeGreaterThan(60);
      const faults = lines.flatMap((line) => schemas?.check(release, JSON.parse(line)) ?? []);
      expect(faults).toEqual([]);
    },
  );
});
