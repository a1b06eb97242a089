import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OneNode } from './testing/one-node.ts';
import type { Spec } from './testing/operations.ts';
import { GIB, linkOf, PORTALS } from './testing/specs.ts';

describe('a volume behind two paths with the real multipathd', () => {
  let node: OneNode;
  let spec: Spec;
  let map = '';
  beforeAll(async () => {
    node = await OneNode.start(async (fresh) => {
      spec = { ...(await fresh.volume(1)), portals: [...PORTALS], multipath: true };
      map = `/dev/mapper/3${spec.naa.slice(2)}`;
      await fresh.sh(`multipathd; wait_for 60 sh -c 'multipathd show daemon | grep -q "idle\\|running"'`, 90);
      await fresh.done({ what: 'attach', spec });
    });
  });
  beforeEach(() => node.again());
  afterAll(() => node.stop());

  it('is a map by its WWID over both, there when attach returns; what is written there is on the zvol (RP-21)', async () => {
    expect(await node.sh(`readlink ${linkOf(spec)}; ls /sys/class/block/$(basename $(readlink -f ${map}))/slaves | wc -l`)).toBe(
      `${map}\n2`,
    );
    const sum = await node.write(linkOf(spec));
    expect(await node.read('/dev/zvol/tank/d1')).toBe(sum);
  });

  it('grow: paths and map have the new size before the call returns (RP-11)', async () => {
    await node.sh('zfs set volsize=3G tank/d1');
    const sizes = `for d in ${map} /dev/sd?; do blockdev --getsize64 $d; done`;
    const [done, seen] = await node.perform({ what: 'grow', spec: { ...spec, size: 3 * GIB } }, { what: 'script', text: sizes });
    expect([done, seen]).toMatchObject([{ value: 'done' }, { value: `${3 * GIB}\n`.repeat(3) }]);
  });

  it('detach takes away its own map, paths and registration, and no map of others (F-107)', async () => {
    await node.sh('truncate -s 64M /tmp/foreign; dmsetup create foreign --table "0 2048 linear $(losetup -f --show /tmp/foreign) 0"');
    await node.done({ what: 'detach', spec });
    expect(await node.sh("dmsetup ls | awk '{print $1}'; ls /sys/class/scsi_device; grep -c '^/' /etc/multipath/wwids || true")).toBe(
      'foreign\n0',
    );
    await node.done({ what: 'attach', spec });
    expect(await node.sh(`test -b ${linkOf(spec)} && echo there`)).toBe('there');
  });

  it('that is open stays whole: the error names who has it; once closed it goes at once (RP-20)', async () => {
    await node.sh(`setsid sleep 600 < ${linkOf(spec)} > /dev/null 2>&1 & echo $! > /tmp/holder`);
    const [refused] = await node.perform({ what: 'detach', spec });
    expect(refused).toMatchObject({ code: 'DEVICE_BUSY', message: expect.stringMatching(/sleep \(process \d+\)/) as string });
    expect(await node.sh(`ls /sys/class/block/$(basename $(readlink -f ${map}))/slaves | wc -l; kill $(cat /tmp/holder)`)).toBe('2');
    await node.done({ what: 'detach', spec });
    expect(await node.sh('ls /sys/class/scsi_device')).toBe('');
  });

  it('whose number was given to another volume: neither map nor paths are handed out as the new one (RP-13)', async () => {
    const other = await node.volume(2, { lun: 1, size: 2 * GIB, map: false });
    await node.sh('lio_unmap d1 1; lio_undisk d1; wait_for 20 zfs destroy tank/d1; lio_map d2 1');
    const now = { ...other, portals: [...PORTALS], multipath: true };
    const [outcome] = await node.perform({ what: 'detach', spec }, { what: 'attach', spec: now }).then((all) => all.slice(1));
    expect(outcome).toHaveProperty('value');
    const sum = await node.write(linkOf(now));
    expect(await node.read('/dev/zvol/tank/d2')).toBe(sum);
    expect(await node.sh(`blockdev --getsize64 ${linkOf(now)}`)).toBe(String(2 * GIB));
  });
});
