import { expect, it } from 'vitest';
import { ManualClock } from '../core/testing/manual-clock.ts';
import type { LunSpec } from '../core/host-port.ts';
import { NO_METER } from '../core/metrics.ts';
import { measured } from './device-wait.ts';
import type { HostContext } from './host-context.ts';

it('measures the wait for a device that was verified, and none that was not', async () => {
  const clock = new ManualClock();
  const waits: unknown[] = [];
  const meter = { ...NO_METER, observe: (...wait: unknown[]) => void waits.push(wait) };
  const context = { clock, meter } as unknown as HostContext;
  const spec = { storage: 'tn' } as LunSpec;
  await expect(measured(context, spec, () => Promise.reject(new Error('no device')))).rejects.toThrow('no device');
  expect(waits).toEqual([]);
  const device = await measured(context, spec, async () => {
    await clock.advance(2_500);
    return '/dev/sda';
  });
  expect(device).toBe('/dev/sda');
  expect(waits).toEqual([['pve_truenas_device_wait_seconds', { storage: 'tn' }, 2.5]]);
});
