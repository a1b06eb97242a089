import { afterEach, describe, expect, it } from 'vitest';
import { Lab, linkOf, Node, specOf, Storage, SHORT } from './rig.ts';

const lab = new Lab();
afterEach(() => lab.stop());

/** One path without multipath; the volume is attached and has data. */
async function attached(seconds?: typeof SHORT) {
  const { st, n1 } = await lab.restore('st', 'n1');
  const [storage, node] = await Promise.all([Storage.start(st), Node.start(n1, undefined, seconds)]);
  const volume = await storage.volume(specOf(1, { networks: [0], multipath: false }));
  await node.done({ what: 'attach', spec: volume });
  return { storage, node, volume, sum: await node.write(volume) };
}
const lost = 'grep -qE "FAILED|FREE" /sys/class/iscsi_session/*/state';
const loggedIn = 'grep -qx LOGGED_IN /sys/class/iscsi_session/*/state';

describe('one path, without multipath', () => {
  it('fails I/O within noop_out_interval, noop_out_timeout and replacement_timeout of a lost link; the same device works when it is back (F-114)', async () => {
    const { node, volume, sum } = await attached(SHORT);
    const device = await node.sh(`readlink -f ${linkOf(volume)}`);
    await lab.cable('st', 0, 'down');
    // Debian's own times would be 130 s, those of the lab's snapshot 25 s; ours are 9 s.
    const seconds = Object.values(SHORT).reduce((sum, one) => sum + one, 0);
    await expect(node.write(volume, seconds + 13)).rejects.toThrow('Input/output error');
    await lab.cable('st', 0, 'up');
    await node.until(loggedIn, 90);
    expect(await node.read(volume)).toBe(sum);
    expect(await node.done({ what: 'attach', spec: volume })).toBe(device);
  });

  it('a session that the target drops comes back by itself, and I/O that was under way is all there (F-114)', async () => {
    const { storage, node, volume } = await attached();
    await node.sh(`head -c 96M /dev/urandom > /tmp/data; (dd if=/tmp/data of=${linkOf(volume)} bs=16K oflag=direct conv=notrunc > /tmp/dd 2>&1; echo $? > /tmp/rc) > /dev/null 2>&1 &
      until [ "$(awk '{print $7}' /sys/class/block/$(basename $(readlink -f ${linkOf(volume)}))/stat)" -gt 20000 ]; do sleep 0.05; done`);
    await storage.sh('echo 0 > $C/target/iscsi/$IQN/tpgt_1/enable');
    await node.until(lost);
    expect(await node.sh('ls /tmp/rc 2> /dev/null | wc -l')).toBe('0');
    await storage.sh('echo 1 > $C/target/iscsi/$IQN/tpgt_1/enable');
    await node.until('[ -s /tmp/rc ]', 90);
    const written = await node.sh('cat /tmp/rc; sha256sum < /tmp/data');
    const there = await node.sh(`dd if=${linkOf(volume)} bs=1M count=96 iflag=direct status=none | sha256sum`);
    expect(written).toBe(`0\n${there}`);
  });

  it('while the target service is stopped attaching says so in its time; after it started the volume is the same one, and another one can be attached', async () => {
    const { storage, node, volume, sum } = await attached();
    await storage.sh('lio_gone');
    await node.until(lost);
    const other = specOf(2, { networks: [0], multipath: false });
    for (const spec of [volume, other]) {
      expect(await node.perform({ what: 'attach', spec, ms: 8000 })).toEqual([
        expect.objectContaining({ code: expect.stringMatching(/^(LOGIN_FAILED|DEADLINE)$/) as string }),
      ]);
    }
    await storage.sh(`lio_target 10.77.0.10 10.77.1.10; lio_map d1 ${volume.lun}`);
    await storage.volume(other);
    await node.until(loggedIn, 90);
    await node.done({ what: 'attach', spec: volume }, { what: 'attach', spec: other });
    expect(await node.read(volume)).toBe(sum);
    const second = await node.write(other);
    expect(await node.read(other)).toBe(second);
    await node.done({ what: 'detach', spec: other }, { what: 'detach', spec: volume });
    expect(await node.sh('ls /sys/class/scsi_disk | wc -l')).toBe('0');
  });

  it('a node that lost its power with the volume attached has it again, with its data, after the boot', async () => {
    const { node, volume, sum } = await attached();
    await node.machine.cutPower();
    const { n1 } = await lab.restore('n1');
    const booted = await Node.start(n1);
    expect(await booted.sh(`ls /sys/class/iscsi_session | wc -l; ls ${linkOf(volume)} 2> /dev/null | wc -l`)).toBe('0\n0');
    await booted.done({ what: 'attach', spec: volume });
    expect(await booted.read(volume)).toBe(sum);
    await booted.done({ what: 'detach', spec: volume });
  });
});
