import { describe, expect, it } from 'vitest';
import { Hysteresis } from './hysteresis.ts';

/** One letter a look: x bad, . good, ? neither; the answer is where it stands after each. */
function course(looks: string, counts = { on: 3, off: 2 }): string {
  const one = new Hysteresis(counts);
  return Array.from(looks)
    .map((look) => {
      one.see(look === '?' ? null : look === 'x');
      return one.on ? '1' : '0';
    })
    .join('');
}

describe('Hysteresis', () => {
  it.each([
    ['x', '0'],
    ['xx.xx.xx.', '000000000'],
    ['xxx', '001'],
    ['xxx.x..', '0011110'],
    ['xx?xx', '00000'],
    ['xxx.?.', '001111'],
    ['xxxx..x', '0011100'],
  ])('%s -> %s', (looks, expected) => {
    expect(course(looks)).toBe(expected);
  });

  it('turns at once where one look is enough', () => {
    expect(course('x.x', { on: 1, off: 1 })).toBe('101');
  });

  it('says when it is about to turn', () => {
    const one = new Hysteresis({ on: 2, off: 1 });
    one.see(true);
    expect([one.on, one.turning]).toEqual([false, true]);
    one.see(false);
    expect(one.turning).toBe(false);
  });
});
