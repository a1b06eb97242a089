import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OneNode } from './testing/one-node.ts';
import type { Spec } from './testing/operations.ts';
import { linkOf } from './testing/specs.ts';

/** More than any operation has commands and changes of files. */
const MOST_STEPS = 30;

const STATE = 'ls /sys/class/iscsi_session 2> /dev/null | wc -l; ls /sys/class/scsi_device';

describe('a daemon that is killed in the middle (SIGKILL), with a real device', () => {
  let node: OneNode;
  let spec: Spec;
  let sum = '';
  beforeAll(async () => {
    node = await OneNode.start(async (fresh) => {
      spec = await fresh.volume(1);
      // not ours to see: a login that scans all would show it
      await fresh.volume(2);
      sum = await fresh.write('/dev/zvol/tank/d1');
    });
  });
  afterAll(() => node.stop());

  it('while it attaches: wherever it was, the next attach succeeds, with one session, one device and the right content (F-109)', async () => {
    const steps: string[] = [];
    for (let step = 1; step <= MOST_STEPS; step += 1) {
      await node.again();
      if (!(await node.killedAt(step, { what: 'attach', spec }))) break;
      await node.done({ what: 'attach', spec });
      steps.push(await node.sh(`dd if=${linkOf(spec)} bs=1M count=8 iflag=direct status=none | sha256sum; ${STATE}`));
    }
    expect(steps.length).toBeGreaterThanOrEqual(5);
    expect(steps.length).toBeLessThan(MOST_STEPS);
    expect(new Set(steps)).toEqual(new Set([`${sum}\n1\n0:0:0:1`]));
  });

  it('while it detaches: wherever it was, the next detach leaves nothing, and the volume can be attached again (F-314)', async () => {
    const steps: string[] = [];
    for (let step = 1; step <= MOST_STEPS; step += 1) {
      await node.again();
      await node.done({ what: 'attach', spec });
      if (!(await node.killedAt(step, { what: 'detach', spec }))) break;
      await node.done({ what: 'detach', spec });
      steps.push(await node.sh(`ls -d ${linkOf(spec)} 2> /dev/null || true; ${STATE}`));
      await node.done({ what: 'attach', spec });
    }
    expect(steps.length).toBeGreaterThanOrEqual(3);
    expect(steps.length).toBeLessThan(MOST_STEPS);
    expect(new Set(steps)).toEqual(new Set(['1']));
  });
});
