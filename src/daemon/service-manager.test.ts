import { expect, it } from 'vitest';
import { ManualClock, RecordingLog } from '../core/testing/manual-clock.ts';
import { ServiceManager } from './service-manager.ts';

it('does not end before the manager has all that was said, though a sign of life is on its way', async () => {
  const taken: string[] = [];
  const waiting: (() => void)[] = [];
  const service = new ServiceManager({
    notify: async ([line = '']) => {
      if (line !== 'READY=1') await new Promise<void>((resolve) => waiting.push(resolve));
      taken.push(line);
    },
    watchdogMs: 600,
    prove: () => Promise.resolve(),
    clock: new ManualClock(),
    log: new RecordingLog(),
  });
  await service.ready('serving');
  await expect.poll(() => waiting.length).toBe(1);
  void service.stopping('finishing 0 calls');
  let ended = false;
  const end = service.end().then(() => (ended = true));
  waiting.shift()?.();
  await expect.poll(() => waiting.length).toBe(1);
  expect([taken, ended]).toEqual([['READY=1', 'WATCHDOG=1'], false]);
  waiting.shift()?.();
  await end;
  expect(taken).toEqual(['READY=1', 'WATCHDOG=1', 'STOPPING=1']);
});
