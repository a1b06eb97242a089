import { afterEach, describe, expect, it } from 'vitest';
import { GIB, Lab, linkOf, Node, specOf, Storage } from './rig.ts';

const lab = new Lab();
afterEach(() => lab.stop());

/** Storage and two nodes; volume 1 is attached on both, as it is while a guest migrates. */
async function shared() {
  const { st, n1, n2 } = await lab.restore('st', 'n1', 'n2');
  const [storage, first, second] = await Promise.all([Storage.start(st), Node.start(n1), Node.start(n2)]);
  const volume = await storage.volume(specOf(1, { networks: [0], multipath: false }));
  await Promise.all([first, second].map((node) => node.done({ what: 'attach', spec: volume })));
  return { storage, first, second, volume };
}
const sizeOn = (node: Node, volume: { storage: string; volume: string }) =>
  node.sh(`blockdev --getsize64 /dev/pve-truenas/${volume.storage}/${volume.volume}`);

describe('a volume on two nodes', () => {
  it('what one writes the other reads; detached from the one it goes on working on the other: live migration there and back (RP-40)', async () => {
    const { first, second, volume } = await shared();
    const forth = await first.write(volume);
    expect(await second.read(volume)).toBe(forth);
    await first.done({ what: 'detach', spec: volume });
    expect(await first.sh('ls /sys/class/scsi_disk | wc -l')).toBe('0');
    const back = await second.write(volume);
    await first.done({ what: 'attach', spec: volume });
    expect(await first.read(volume)).toBe(back);
  });

  it('a resize is seen on each node when its grow returns, and not before on the other (RP-11, RP-40)', async () => {
    const { storage, first, second, volume } = await shared();
    const sum = await first.write(volume);
    const grown = await storage.resize(volume, 2 * GIB);
    await first.done({ what: 'grow', spec: grown });
    expect([await sizeOn(first, volume), await sizeOn(second, volume)]).toEqual([String(2 * GIB), String(GIB)]);
    await second.done({ what: 'grow', spec: grown });
    expect(await sizeOn(second, volume)).toBe(String(2 * GIB));
    // An attach as at the end of a migration, after a resize that this node was not told of.
    const again = await storage.resize(volume, 3 * GIB);
    await second.done({ what: 'attach', spec: again });
    expect(await sizeOn(second, volume)).toBe(String(3 * GIB));
    expect(await second.read(volume)).toBe(sum);
  });

  it('freed by one node it is a dead device on the other, which detach removes, and whose number is safe to use again (RP-12, RP-13, F-104)', async () => {
    const { storage, first, second, volume } = await shared();
    const old = await first.write(volume);
    await first.done({ what: 'detach', spec: volume });
    await storage.free(volume);
    // The other one still has it: a device that answers nothing, and a link.
    await expect(second.read(volume)).rejects.toThrow('Input/output error');
    await second.done({ what: 'detach', spec: volume });
    expect(await second.sh(`ls /sys/class/scsi_disk | wc -l; ls ${linkOf(volume)} 2> /dev/null | wc -l`)).toBe('0\n0');
    const next = await storage.volume(specOf(2, { lun: volume.lun, size: 2 * GIB, networks: [0], multipath: false }));
    await Promise.all([first, second].map((node) => node.done({ what: 'attach', spec: next })));
    const fresh = await first.write(next);
    expect(fresh).not.toBe(old);
    expect(await second.read(next)).toBe(fresh);
    expect(await sizeOn(second, next)).toBe(String(2 * GIB));
  });

  it('a node that never heard of the deletion is not given the old device for the new volume at that number (RP-13, F-104)', async () => {
    const { storage, first, second, volume } = await shared();
    await first.done({ what: 'detach', spec: volume });
    await storage.free(volume);
    const next = await storage.volume(specOf(2, { lun: volume.lun, size: 2 * GIB, networks: [0], multipath: false }));
    await first.done({ what: 'attach', spec: next });
    const sum = await first.write(next);
    await second.done({ what: 'attach', spec: next });
    expect([await second.read(next), await sizeOn(second, next)]).toEqual([sum, String(2 * GIB)]);
    // The old link must lead nowhere near the new volume.
    expect(await second.sh(`test -b ${linkOf(volume)} && echo block || echo none`)).toBe('none');
  });
});
