import { describe, expect, it } from 'vitest';
import { KeyedLock } from './keyed-lock.ts';

function gate(): { readonly opened: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

const turns = async (count = 20): Promise<void> => {
  for (let i = 0; i < count; i += 1) await Promise.resolve();
};

const never = new AbortController().signal;

describe('KeyedLock', () => {
  it('runs work on one key one after the other, in the order of asking', async () => {
    const lock = new KeyedLock();
    const first = gate();
    const log: string[] = [];
    const a = lock.run('k', never, async () => {
      log.push('a starts');
      await first.opened;
      log.push('a ends');
    });
    const b = lock.run('k', never, async () => {
      log.push('b');
    });
    const c = lock.run('k', never, async () => {
      log.push('c');
    });
    await turns();
    expect(log).toEqual(['a starts']);
    first.open();
    await Promise.all([a, b, c]);
    expect(log).toEqual(['a starts', 'a ends', 'b', 'c']);
  });

  it('runs different keys in parallel', async () => {
    const lock = new KeyedLock();
    const first = gate();
    const a = lock.run('a', never, () => first.opened);
    await expect(lock.run('b', never, async () => 'done')).resolves.toBe('done');
    first.open();
    await a;
  });

  it('passes results and failures on and frees the key in both cases', async () => {
    const lock = new KeyedLock();
    await expect(
      lock.run('k', never, async () => {
        throw new Error('broken');
      }),
    ).rejects.toThrow('broken');
    await expect(lock.run('k', never, async () => 7)).resolves.toBe(7);
    await turns();
    expect(lock.size).toBe(0);
  });

  it('lets a waiter leave with the reason of its signal, without running its work', async () => {
    const lock = new KeyedLock();
    const first = gate();
    const controller = new AbortController();
    const ran: string[] = [];
    const a = lock.run('k', never, () => first.opened);
    const b = lock.run('k', controller.signal, async () => {
      ran.push('b');
    });
    controller.abort(new Error('too late'));
    await expect(b).rejects.toThrow('too late');
    first.open();
    await a;
    await turns();
    expect(ran).toEqual([]);
    expect(lock.size).toBe(0);
  });

  it('does not let the successor of a waiter that left overtake the one at work', async () => {
    const lock = new KeyedLock();
    const first = gate();
    const controller = new AbortController();
    const log: string[] = [];
    const a = lock.run('k', never, async () => {
      await first.opened;
      log.push('a ends');
    });
    const b = lock.run('k', controller.signal, async () => undefined);
    const c = lock.run('k', never, async () => {
      log.push('c');
    });
    controller.abort(new Error('too late'));
    await expect(b).rejects.toThrow('too late');
    await turns();
    expect(log).toEqual([]);
    first.open();
    await Promise.all([a, c]);
    expect(log).toEqual(['a ends', 'c']);
  });

  it('refuses at once when the signal is aborted already', async () => {
    const lock = new KeyedLock();
    await expect(lock.run('k', AbortSignal.abort(new Error('gone')), async () => 1)).rejects.toThrow('gone');
    expect(lock.size).toBe(0);
  });
});
