import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LabNode } from '../testing/lab-node.ts';
import type { ExportedLun } from '../testing/lab-simulator.ts';

/** Of 4 MiB. */
const ZEROS = 'bb9f8df61474d25e71fa00722318cd387396ca1736605e1248821cc0de3d3af8';

describe('a LUN number that was given to another volume', () => {
  let node: LabNode;
  beforeEach(async () => {
    node = await LabNode.start();
  });
  afterEach(() => node.stop());

  /** Swaps what stands at two numbers, behind the API's back. */
  const swap = (one: ExportedLun, other: ExportedLun): string =>
    `cd $C/target/iscsi/${node.sim.about.targetIqn}/tpgt_1/lun
     a=$(find lun_${one.lun} -type l); b=$(find lun_${other.lun} -type l); A=$(readlink -f $a); B=$(readlink -f $b)
     rm $a $b; ln -s $B lun_${one.lun}/swapped; ln -s $A lun_${other.lun}/swapped`;

  it('end to end, identity: a device whose LUN is another volume by now is never handed out (RP-13)', async () => {
    const [old, other] = [await node.volume(), await node.volume()];
    const path = await node.activate(old);
    await node.sh(swap(old, other));
    // The device still bears the old name, and reads and writes the other disk.
    expect(await node.machine.sh(`cat /sys/block/$(basename $(readlink -f ${path}))/device/wwid`)).toBe(`naa.${old.naa.slice(2)}`);
    expect(await node.refused('volume.activate', { volume: old.volume })).toBe('DEVICE_IDENTITY');
    expect(await node.machine.sh(`test -b ${path} || echo nothing`)).toBe('nothing');
    expect(await node.onArray(other)).toBe(ZEROS);
  });
});
