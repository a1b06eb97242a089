import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/system-clock.ts';
import { SimClock } from './sim-clock.ts';

describe('a clock moved by hand', () => {
  it('runs what became due, oldest first, and nothing else', () => {
    const clock = new SimClock(systemClock);
    const ran: string[] = [];
    clock.after(2_000_000, () => ran.push('later'));
    clock.after(1_000_000, () => ran.push('sooner'));
    const cancel = clock.after(1_500_000, () => ran.push('cancelled'));
    const never = clock.after(90_000_000, () => ran.push('never'));
    cancel();
    clock.advance(3_000_000);
    never();
    expect(ran).toEqual(['sooner', 'later']);
  });

  it('ends a sleep, or leaves it with the reason of its signal', async () => {
    const clock = new SimClock(systemClock);
    const slept = clock.sleep(1_000_000);
    clock.advance(1_000_000);
    await slept;
    const stop = new AbortController();
    const stopped = clock.sleep(1_000_000, stop.signal);
    stop.abort(new Error('enough'));
    await expect(stopped).rejects.toThrow('enough');
  });
});
