import { afterEach, describe, expect, it } from 'vitest';
import { GIB, Lab, linkOf, Node, specOf, Storage, zvolOf } from './rig.ts';

const lab = new Lab();
afterEach(() => lab.stop());

/** `mkfs`: as Proxmox VE makes the file systems of containers. `snapshotMount`: as it mounts their snapshots. */
const KINDS = [
  { kind: 'ext4', mkfs: 'mkfs.ext4 -q -O mmp', grow: 'resize2fs', of: linkOf(specOf(1)), check: 'e2fsck -fn', snapshotMount: 'ro,noload' },
  { kind: 'xfs', mkfs: 'mkfs.xfs -q', grow: 'xfs_growfs', of: '/mnt', check: 'xfs_repair -n', snapshotMount: 'ro,nouuid' },
];

/** Whether ext4 says in a snapshot taken now that its journal has to be replayed: 1 or 0. */
async function mustReplay(storage: Storage, snapshot: string): Promise<string> {
  return storage.sh(`zfs snapshot tank/d1@${snapshot}; zfs clone tank/d1@${snapshot} tank/${snapshot}; wait_for 20 test -b /dev/zvol/tank/${snapshot}
    dumpe2fs -h /dev/zvol/tank/${snapshot} 2> /dev/null | grep -c needs_recovery || true`);
}

describe('the file system of a container', () => {
  it.each(KINDS)('$kind: made, mounted, grown while mounted; a snapshot taken while it is frozen holds all of it (RP-11)', async (fs) => {
    const { st, n1 } = await lab.restore('st', 'n1');
    const [storage, node] = await Promise.all([Storage.start(st), Node.start(n1)]);
    const over = { networks: [0], multipath: false };
    const volume = await storage.volume(specOf(1, over));
    await node.done({ what: 'attach', spec: volume });
    await node.sh(`${fs.mkfs} ${linkOf(volume)}; mount ${linkOf(volume)} /mnt; head -c 16M /dev/urandom > /mnt/before`);
    expect(await node.perform({ what: 'detach', spec: volume })).toMatchObject([
      { code: 'DEVICE_BUSY', message: expect.stringContaining('mount /mnt') as string },
    ]);

    const grown = await storage.resize(volume, 2 * GIB);
    await node.done({ what: 'grow', spec: grown });
    await node.sh(`${fs.grow} ${fs.of} > /dev/null 2>&1`);
    expect(Number(await node.sh('stat -f -c %b /mnt')) * Number(await node.sh('stat -f -c %S /mnt'))).toBeGreaterThan(1.8 * GIB);

    const running = fs.kind === 'ext4' ? await mustReplay(storage, 'running') : '';
    // Written and not synced: only the freeze brings it to the disk.
    const sums = await node.sh('head -c 8M /dev/urandom > /mnt/after; cd /mnt; sha256sum before after; fsfreeze -f /mnt');
    // Without the freeze it is another matter, so that this can fail.
    if (fs.kind === 'ext4') expect([running, await mustReplay(storage, 'still')]).toEqual(['1', '0']);
    await storage.sh(`zfs snapshot tank/${zvolOf(volume)}@frozen`);
    await node.sh('fsfreeze -u /mnt; echo later > /mnt/later; sync /mnt/later');

    const clone = await storage.volume(specOf(2, { ...over, size: 2 * GIB }), `${zvolOf(volume)}@frozen`);
    await node.done({ what: 'attach', spec: clone });
    // Read-only and without replaying the journal: it has to be consistent as it is.
    expect(
      await node.sh(
        `mkdir -p /snapshot; mount -o ${fs.snapshotMount} ${linkOf(clone)} /snapshot; cd /snapshot; ls | grep -v lost+found; sha256sum before after`,
      ),
    ).toBe(`after\nbefore\n${sums}`);
    await node.sh(`umount /snapshot; ${fs.check} ${linkOf(clone)} > /tmp/check 2>&1 || { cat /tmp/check; exit 1; }; umount /mnt`, 200);
    await node.done({ what: 'detach', spec: clone }, { what: 'detach', spec: grown });
  });
});
