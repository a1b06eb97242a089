import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { leftBehind, mountsBelow, type Place, tell } from './left-behind.ts';

const place: Place = { run: `/nowhere/t${process.pid}`, namespace: `lab-t${process.pid}`, lab: '/nowhere/lab' };

describe('what a run of the lab left behind', () => {
  it('is nothing where nothing runs', async () => {
    expect(tell(await leftBehind(place))).toEqual([]);
  });

  it('is each process that was started for it or for one of its workers, and no other run has it', async () => {
    const child = spawn('cat', { env: { ...process.env, LAB_RUN: `${place.run}/w1` } });
    const ended = once(child, 'exit');
    try {
      await once(child, 'spawn');
      expect(tell(await leftBehind(place))).toEqual([`process ${child.pid ?? ''}: cat`]);
      expect(tell(await leftBehind({ ...place, run: `${place.run}/w` }))).toEqual([]);
    } finally {
      child.stdin.end();
      await ended;
    }
    expect(tell(await leftBehind(place))).toEqual([]);
  });

  it('is a mount in its directories or of its namespaces, and no one else’s', () => {
    const line = (point: string): string => `42 27 254:0 / ${point} rw,relatime shared:1 - ext4 /dev/vda rw`;
    const { run, namespace, lab } = place;
    const ours = [`${run}/w1/x`, `${lab}/root/proc`, `/run/netns/${namespace}`, `/run/netns/${namespace}-w2`];
    const others = ['/', '/run/netns', `${run}0`, `${lab}-2`, `/run/netns/${namespace}1`];
    expect(mountsBelow([...ours, ...others].map(line).join('\n'), place)).toEqual(ours);
  });
});
