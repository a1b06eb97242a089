import { describe, expect, it } from 'vitest';
import { asStorageError, StorageError } from '../core/errors.ts';
import { FakeHost } from '../host/testing/fake-host.ts';
import { allocate } from './allocate.ts';
import { attach } from './attach.ts';
import type { StorageContext } from './context.ts';
import { free } from './free.ts';
import { type ChangingOperation, sayingState } from './left-state.ts';
import { resize } from './resize.ts';
import { createSnapshot, deleteSnapshot, rollback } from './snapshots.ts';
import { FakeArray, type Mishap } from './testing/fake-array.ts';
import { World } from './testing/world.ts';
import { ARRAY_CHANGES } from './watch-changes.ts';
import type { Deadline } from '../core/ports.ts';

const GIB = 2 ** 30;
const DISK = 'vm-100-disk-0';
type Work = (context: StorageContext, deadline: Deadline) => Promise<unknown>;

const OPERATIONS: Readonly<Partial<Record<ChangingOperation, Work>>> = {
  'volume.allocate': (context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline),
  'volume.free': (context, deadline) => free(context, DISK, deadline),
  'volume.resize': (context, deadline) => resize(context, DISK, 2 * GIB, deadline),
  'snapshot.create': (context, deadline) => createSnapshot(context, DISK, 'new', deadline),
  'snapshot.delete': (context, deadline) => deleteSnapshot(context, DISK, 'old', deadline),
  'snapshot.rollback': (context, deadline) => rollback(context, DISK, 'old', deadline),
  'volume.activate': (context, deadline) => attach(context, context.host, DISK, undefined, deadline),
};

async function withDisk(host = new FakeHost()): Promise<World> {
  const world = await new World(host).warm();
  await world.run((context, deadline) => allocate(context, { vmid: 100, size: GIB }, deadline));
  await world.run((context, deadline) => createSnapshot(context, DISK, 'old', deadline));
  world.array.calls.length = 0;
  return world;
}

function contents({ array }: World): unknown {
  return [array.zvolsById, array.extentsById, array.mappingsById, array.snapshotsById].map((map) => [...map]);
}

/** Runs an operation as the daemon does and gives what became of it. */
async function outcome(world: World, operation: ChangingOperation, work: Work): Promise<StorageError | null> {
  try {
    await world.run((context, deadline) =>
      sayingState(
        operation,
        () => Promise.resolve(context),
        (own) => work(own, deadline),
      ),
    );
    return null;
  } catch (error) {
    return asStorageError(error);
  }
}

describe('what a failed operation says that it left', () => {
  const cases = Object.entries(OPERATIONS).flatMap(([operation, work]) =>
    (['before', 'after', 'down'] as const).map((mishap) => [operation as ChangingOperation, mishap, work] as const),
  );

  it.each(cases)('%s is true whichever call has the mishap `%s`', async (operation, mishap, work) => {
    const quiet = await withDisk();
    await outcome(quiet, operation, work);
    const calls = [...quiet.array.calls];
    const failed: string[] = [];
    for (const [at, method] of calls.entries()) {
      const world = await withDisk();
      const before = contents(world);
      world.array.plan(method, mishap, calls.slice(0, at + 1).filter((one) => one === method).length);
      const error = await outcome(world, operation, work);
      if (error === null) continue;
      failed.push(`${method}: ${error.state ?? '(nothing said)'}`);
      expect(error.state, `${operation}, ${mishap} at ${method}`).toMatch(/\S/);
      if (error.state?.startsWith('nothing was changed') === true || error.state?.includes('removed again') === true)
        expect(contents(world), error.state).toEqual(before);
    }
    if (mishap === 'down' && calls.length > 0) expect(failed).not.toEqual([]);
  });

  it('says that a volume has grown although this node does not see it', async () => {
    const host = new FakeHost();
    const world = await withDisk(host);
    host.fail('grow', new StorageError('DEVICE_SIZE', 'the device kept its size'));
    const error = await outcome(world, 'volume.resize', (context, deadline) => resize(context, DISK, 2 * GIB, deadline));
    expect(error).toMatchObject({ code: 'DEVICE_SIZE' });
    expect(error?.state).toContain('has its new size on TrueNAS');
  });

  it('says that a rollback happened although buffers could not be dropped', async () => {
    const host = new FakeHost();
    const world = await withDisk(host);
    world.array.before('rollback', () => host.fail('flush', new StorageError('DEVICE_BUSY', 'held')));
    const error = await outcome(world, 'snapshot.rollback', (context, deadline) => rollback(context, DISK, 'old', deadline));
    expect(error?.state).toContain('was rolled back on TrueNAS');
  });

  it('is not known where a change never had an answer', async () => {
    for (const mishap of ['before', 'after'] satisfies Mishap[]) {
      const world = await withDisk();
      world.array.plan('rollback', mishap, 1);
      world.array.plan('rollback', mishap, 2);
      const error = await outcome(world, 'snapshot.rollback', (context, deadline) => rollback(context, DISK, 'old', deadline));
      expect(error).toMatchObject({ code: 'OUTCOME_UNKNOWN' });
      expect(error?.state).toContain('not known');
    }
  });

  it('is said of a storage that cannot even be found', async () => {
    const nowhere = (): Promise<StorageContext> => Promise.reject(new StorageError('SECRET_MISSING', 'no key'));
    await expect(sayingState('volume.free', nowhere, () => Promise.resolve())).rejects.toMatchObject({
      code: 'SECRET_MISSING',
      state: 'nothing was changed',
    });
  });

  it('keeps what the error says itself', async () => {
    const world = await withDisk();
    world.array.putSnapshot('tank/pve/vm-100-disk-0', 'newer');
    const error = await outcome(world, 'snapshot.rollback', (context, deadline) => rollback(context, DISK, 'old', deadline));
    expect(error).toMatchObject({ code: 'ROLLBACK_BLOCKED', state: 'nothing was changed', facts: { blockers: ['newer'] } });
  });
});

describe('the list of changes', () => {
  it('has every method of the array that changes something', () => {
    const changing = Object.keys(new FakeArray()).filter((name) =>
      /^(create|delete|resize|reserve|rename|clone|promote|update|set|hold|release)[A-Z]|^rollback$/.test(name),
    );
    expect(changing.sort()).toEqual([...ARRAY_CHANGES].sort());
  });
});
