import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { type ErrorDetails, StorageError } from '../core/errors.ts';
import { NO_METER } from '../core/metrics.ts';
import { systemClock } from '../core/system-clock.ts';
import { createLog } from '../observe/log.ts';
import { METHODS, type MethodName } from '../protocol/methods.ts';
import { isChanging } from '../volumes/left-state.ts';
import { createRpc, type Handlers } from './rpc.ts';

const SECRET = 'never-shown';
const storage = { id: 'nas', config: { dataset: 'tank/pve' } };
const answer = z.object({ error: z.object({ message: z.string(), data: z.looseObject({ code: z.string() }) }) });

/** A daemon whose every method fails so; gives its answer and its log. */
async function failing(thrown: Error, method: string, params: object): Promise<{ error: z.infer<typeof answer>['error']; log: string[] }> {
  const log: string[] = [];
  const fail = (): Promise<never> => Promise.reject(thrown);
  const handlers = Object.fromEntries(Object.keys(METHODS).map((name) => [name, fail])) as unknown as Handlers;
  const rpc = createRpc(
    handlers,
    systemClock,
    createLog('info', 'journal', (line) => void log.push(line)),
    NO_METER,
  );
  const line = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { protocol: 1, ...params } });
  return { error: answer.parse(JSON.parse((await rpc(line, new AbortController().signal)) ?? '')).error, log };
}

const full = (details: ErrorDetails = {}) => new StorageError('NO_SPACE', "Insufficient space on 'tank/pve':\n  Requested: 10 GB", details);

describe('the log line of a failed call', () => {
  it('is one line with operation, volume, storage, code and caller', async () => {
    const params = { storage, volume: 'vm-100-disk-0', size: 512, caller: 'qm resize' };
    const { log } = await failing(full({ state: 'nothing was changed' }), 'volume.resize', params);
    expect(log).toHaveLength(1);
    expect(log[0]).toMatch(
      /^<4>volume\.resize vm-100-disk-0 on storage 'nas' failed: Insufficient space on 'tank\/pve': Requested: 10 GB \(NO_SPACE\) \{/,
    );
    expect(log[0]).toContain('"caller":"qm resize"');
    expect(log[0]).toContain('"state":"nothing was changed"');
    expect(log[0]?.trimEnd()).not.toContain('\n');
  });

  it('warns of changes only: what is merely asked again and again is no alarm', async () => {
    expect((await failing(full(), 'storage.activate', { storage })).log[0]).toMatch(/^<6>storage\.activate on storage 'nas' failed/);
    expect((await failing(full(), 'snapshot.create', { storage, volume: 'v', snapshot: 's' })).log[0]).toMatch(/^<4>/);
  });

  it('has the stack of a fault of ours, also where a state was added, and the answer has none', async () => {
    const bug = new TypeError('undefined is no volume');
    const wrapped = new StorageError('INTERNAL', 'internal error: x', { cause: bug }).leaving('nothing was changed');
    const { error, log } = await failing(wrapped, 'volume.free', { storage, volume: 'v' });
    expect(log[0]).toMatch(/^<3>/);
    expect(log[0]).toContain('TypeError: undefined is no volume');
    expect(JSON.stringify(error)).not.toMatch(/rpc\.test|TypeError/);
  });

  it.each([
    ['a volume that moves the cursor', { storage, volume: '\u001b[2J\nvm' }],
    ['a storage that is no object', { storage: 7, volume: 'v' }],
    ['a storage without id', { storage: {}, volume: 'v' }],
    ['volume and caller of a wrong type', { storage, volume: { a: 1 }, caller: [] }],
    ['a secret among the parameters', { storage, volume: 'v', api_key: SECRET }],
  ])('survives %s', async (_, params) => {
    const { log } = await failing(full(), 'volume.free', params);
    expect(log).toHaveLength(1);
    expect(log[0]).toMatch(/^<\d>volume\.free.* failed: /);
    expect(log[0]?.slice(0, -1)).not.toMatch(/[\p{Cc}]/u);
    expect(log[0]).not.toContain(SECRET);
  });

  it('stays short whatever the array says', async () => {
    const { log } = await failing(new StorageError('CALL_REFUSED', 'x'.repeat(2 ** 20)), 'volume.free', { storage, volume: 'v' });
    expect(log[0]?.length).toBeLessThan(600);
    expect(log[0]).toContain('(CALL_REFUSED)');
  });
});

describe('changing operations', () => {
  it('are methods of the socket, and every method that is no reading one', () => {
    const reads =
      /^(daemon|overview)\.|^storage\.(check|status|activate|forget|probe)$|^volume\.(list|size|path)$|\.(list|rollback-check)$/;
    const names = Object.keys(METHODS) as MethodName[];
    expect(names.filter((name) => !reads.test(name)).filter((name) => !isChanging(name))).toEqual([]);
    expect(names.filter(isChanging).filter((name) => reads.test(name))).toEqual([]);
  });
});
