import { afterEach, describe, expect, it } from 'vitest';
import { NotSentError, OutcomeUnknownError, RefusedError, type StorageError } from '../core/errors.ts';
import { until } from './testing/fake-clock.ts';
import { type Bench, bench, failure } from './testing/harness.ts';
import { callError, NO_ANSWER, validationErrors } from './testing/scripted-server.ts';

let open: Bench[] = [];
async function ready(...args: Parameters<typeof bench>): Promise<Bench> {
  const made = await bench(...args);
  open.push(made);
  await made.array.ready(made.deadline());
  return made;
}
afterEach(async () => {
  await Promise.all(open.map((each) => each.close()));
  open = [];
});

const NEW_ZVOL = { id: 'tank/x', volsize: 1 << 30, volblocksize: 16_384, sparse: true, comments: '', userProperties: { 'a:b': 'c' } };

describe('the three outcomes', () => {
  it('never sends a create again whose answer was lost (F-056, F-302)', async () => {
    const { server, array, deadline, clock } = await ready();
    server.on('pool.dataset.create', (call) => {
      call.socket.terminate();
      return NO_ANSWER;
    });
    const error = (await failure(array.createZvol(NEW_ZVOL, deadline()))) as StorageError;
    expect(error).toBeInstanceOf(OutcomeUnknownError);
    expect(error.code).toBe('OUTCOME_UNKNOWN');
    clock.advance(5000);
    await until(() => array.connection().state === 'ready');
    expect(server.count('pool.dataset.create')).toBe(1);
  });

  it('leaves the outcome of a change unknown at the deadline, drops the late answer, uses the connection on (F-013, F-047)', async () => {
    const { server, array, deadline, elapse } = await ready();
    let late = (): void => undefined;
    server.on('iscsi.targetextent.delete', async () => {
      await new Promise<void>((resolve) => {
        late = resolve;
      });
      return true;
    });
    const pending = failure(array.deleteMapping(5, deadline(10_000)));
    await until(() => server.count('iscsi.targetextent.delete') === 1);
    await elapse(10_000);
    const error = await pending;
    expect(error).toBeInstanceOf(OutcomeUnknownError);
    expect(error.message).toBe('delete mapping 5: TrueNAS did not answer iscsi.targetextent.delete within 10 s');
    late();
    await array.ping(deadline());
    expect(array.connection()).toMatchObject({ state: 'ready', logins: 1, inFlight: 0 });
  });

  it('lets a slow change take longer than api_timeout, but not longer than its caller has (F-302)', async () => {
    const { server, array, deadline, elapse } = await ready();
    let finish = (): void => undefined;
    server.on('pool.dataset.delete', async () => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return true;
    });
    const pending = array.deleteZvol('tank/x', deadline(200_000));
    await until(() => server.count('pool.dataset.delete') === 1);
    await elapse(120_000);
    finish();
    await pending;
  });

  it('repeats a read after a lost connection and answers it (F-003)', async () => {
    const { server, array, deadline, clock } = await ready();
    let first = true;
    server.on('iscsi.extent.query', (call) => {
      if (!first) return [];
      first = false;
      call.socket.terminate();
      return NO_ANSWER;
    });
    const pending = array.extents(deadline());
    await until(() => array.connection().state === 'waiting');
    for (let round = 0; round < 100 && array.connection().state !== 'ready'; round++) {
      clock.advance(100);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    clock.advance(2000);
    expect(await pending).toEqual([]);
    expect(server.count('iscsi.extent.query')).toBe(2);
  });

  it('gives a read that is never answered up as not sent, within the deadline (F-013, F-017)', async () => {
    const { server, array, deadline, clock } = await ready({ apiTimeoutMs: 1000, apiRetryMax: 1 });
    server.on('iscsi.portal.query', () => NO_ANSWER);
    const pending = failure(array.portals(deadline(60_000)));
    await until(() => server.count('iscsi.portal.query') === 1);
    clock.advance(1000);
    await until(() => clock.next !== null && clock.next <= 1000);
    clock.advance(1000);
    await until(() => server.count('iscsi.portal.query') === 2);
    clock.advance(1000);
    const error = (await pending) as StorageError;
    expect(error).toBeInstanceOf(NotSentError);
    expect(error.code).toBe('ARRAY_UNREACHABLE');
    expect(server.count('iscsi.portal.query')).toBe(2);
  });

  it('never repeats a refusal, whatever its traceback says (F-003, F-004)', async () => {
    const { server, array, deadline } = await ready();
    const trace = 'Traceback (most recent call last):\n File "connection.py"\n WebSocket closed=False timeout broken pipe';
    server.on('iscsi.extent.query', () => {
      throw callError(14, 'EFAULT', `it broke\n${trace}`, trace);
    });
    const error = (await failure(array.extents(deadline()))) as StorageError;
    expect(error).toBeInstanceOf(RefusedError);
    expect(error.code).toBe('CALL_REFUSED');
    expect(error.message).toBe('list the extents: it broke');
    expect(server.count('iscsi.extent.query')).toBe(1);
  });

  it('matches answers by id: events and answers in another order are no confusion (F-005, F-050)', async () => {
    const { server, array, deadline } = await ready();
    const release: (() => void)[] = [];
    server.on('iscsi.extent.query', async (call) => {
      await new Promise<void>((resolve) => release.push(resolve));
      const [[, , id]] = call.params[0] as [[string, string, number]];
      return [
        { id, name: `e${id}`, type: 'DISK', disk: 'zvol/tank/x', naa: '0x6', serial: 's', blocksize: 512, comment: '', enabled: true },
      ];
    });
    const both = Promise.all([array.extent(1, deadline()), array.extent(2, deadline())]);
    await until(() => release.length === 2);
    for (let event = 0; event < 20; event++)
      server.notify('collection_update', { msg: 'added', collection: 'x.query', id: event, fields: 'pong' });
    release[1]?.();
    release[0]?.();
    const [one, two] = await both;
    expect([one?.name, two?.name]).toEqual(['e1', 'e2']);
  });

  it('reads fragmented answers of more than 1 MB (F-006)', async () => {
    const { server, array, deadline } = await ready();
    const rows = Array.from({ length: 12_000 }, (_, id) => ({ id, target: 1, extent: id, lunid: id, padding: 'x'.repeat(80) }));
    server.on('iscsi.targetextent.query', (call) => {
      const text = JSON.stringify({ jsonrpc: '2.0', id: call.id, result: rows });
      expect(text.length).toBeGreaterThan(1_000_000);
      for (let at = 0; at < text.length; at += 65_536) {
        call.socket.send(text.slice(at, at + 65_536), { fin: at + 65_536 >= text.length });
      }
      return NO_ANSWER;
    });
    expect(await array.mappings(deadline())).toHaveLength(12_000);
  });

  it.each([
    ['no JSON', 'hello'],
    ['half JSON', '{"jsonrpc":"2.0","id":'],
    ['a list', '[]'],
    ['another protocol', '{"msg":"result","id":"1"}'],
    ['nothing', ''],
  ])('gives a connection up that sends %s; the change that ran is of unknown outcome (F-006)', async (_, garbage) => {
    const { server, array, deadline } = await ready();
    server.on('iscsi.extent.delete', (call) => {
      call.socket.send(garbage);
      return NO_ANSWER;
    });
    expect(await failure(array.deleteExtent(3, deadline()))).toBeInstanceOf(OutcomeUnknownError);
    expect(array.connection().error?.code).toBe('ARRAY_PROTOCOL');
  });

  it.each([[null], [{}], [[{ id: 'x' }]], ['yes'], [[{ id: 1, name: 2 }]]])(
    'does not take the answer %j for a list of extents',
    async (answer) => {
      const { server, array, deadline } = await ready();
      server.on('iscsi.extent.query', () => answer);
      const error = (await failure(array.extents(deadline()))) as StorageError;
      expect(error).toBeInstanceOf(NotSentError);
      expect(error.code).toBe('ARRAY_PROTOCOL');
    },
  );

  it('does not know whether a zvol was made when the answer to its creation is not understood', async () => {
    const { server, array, deadline } = await ready();
    server.on('pool.dataset.create', () => ({ id: 'tank/x' }));
    expect(await failure(array.createZvol(NEW_ZVOL, deadline()))).toBeInstanceOf(OutcomeUnknownError);
  });

  it('refuses to send what would make TrueNAS close the socket', async () => {
    const { server, array, deadline } = await ready();
    const error = (await failure(array.createZvol({ ...NEW_ZVOL, comments: 'x'.repeat(66_000) }, deadline()))) as StorageError;
    expect(error).toBeInstanceOf(NotSentError);
    expect(error.code).toBe('REQUEST_TOO_LARGE');
    expect(server.count('pool.dataset.create')).toBe(0);
    await array.ping(deadline());
  });

  it('keeps at most eight calls under way; what waits too long was not sent', async () => {
    const { server, array, deadline, clock } = await ready();
    server.on('iscsi.extent.delete', () => NO_ANSWER);
    const calls = Array.from({ length: 12 }, (_, id) => failure(array.deleteExtent(id, deadline(5000))));
    await until(() => server.count('iscsi.extent.delete') === 8);
    clock.advance(5000);
    const errors = await Promise.all(calls);
    expect(server.count('iscsi.extent.delete')).toBe(8);
    expect(errors.filter((error) => error instanceof OutcomeUnknownError)).toHaveLength(8);
    expect(errors.filter((error) => error instanceof NotSentError)).toHaveLength(4);
  });

  it('waits for the device node of a new zvol, and for nothing else (F-303)', async () => {
    const { server, array, deadline, clock } = await ready();
    const extent = { name: 'e', zvol: 'tank/x', blocksize: 512, comment: '' } as const;
    let misses = 2;
    server.on('iscsi.extent.create', () => {
      if (misses-- > 0) {
        throw validationErrors(['iscsi_extent_create.disk', "Device '/dev/zvol/tank/x' for volume 'tank/x' does not exist", 22]);
      }
      return { id: 9, name: 'e', type: 'DISK', disk: 'zvol/tank/x', naa: '0x6', serial: 's', blocksize: 512, comment: '', enabled: true };
    });
    const pending = array.createExtent(extent, deadline());
    await until(() => server.count('iscsi.extent.create') === 1 && clock.next === 100);
    clock.advance(100);
    await until(() => server.count('iscsi.extent.create') === 2 && clock.next === 200);
    clock.advance(200);
    expect((await pending).id).toBe(9);
    server.on('iscsi.extent.create', () => {
      throw validationErrors(['iscsi_extent_create.name', 'Extent name must be unique', 22]);
    });
    expect(((await failure(array.createExtent(extent, deadline()))) as StorageError).code).toBe('VOLUME_EXISTS');
    expect(server.count('iscsi.extent.create')).toBe(4);
  });
});
