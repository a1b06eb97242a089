import { afterEach, describe, expect, it } from 'vitest';
import { example, GIB, Lab, linkOf, Node, SHORT, specOf, Storage, wwidOf } from './rig.ts';

const lab = new Lab();
afterEach(() => lab.stop());

/** Storage and a node with the multipath.conf that users are given, or with `changed` text of it; volume 1 is attached. */
async function attached(changed: (text: string) => string = (text) => text, seconds?: typeof SHORT) {
  const { st, n1 } = await lab.restore('st', 'n1');
  const [storage, node] = await Promise.all([
    Storage.start(st),
    example('multipath.conf').then((text) => Node.start(n1, changed(text), seconds)),
  ]);
  const volume = await storage.volume(specOf(1));
  await node.done({ what: 'attach', spec: volume });
  return { storage, node, volume, map: wwidOf(volume) };
}
const bothActive = (map: string) =>
  `[ "$(multipathd show paths raw format "%i %m %t %T %o" | grep -c ' ${map} active ready running')" = 2 ]`;

describe('two paths under dm-multipath', () => {
  it('goes on with I/O when a link is lost, and has both paths again when it is back, without a call (RP-32, F-114)', async () => {
    const { node, volume, map } = await attached((text) => text, SHORT);
    await node.until(bothActive(map));
    await lab.cable('st', 1, 'down');
    const sum = await node.write(volume, 40);
    expect(await node.read(volume)).toBe(sum);
    expect(await node.sh('cat /sys/class/iscsi_session/*/state | sort')).toMatch(/^(FAILED|FREE)\nLOGGED_IN$/);
    await lab.cable('st', 1, 'up');
    await node.until(bothActive(map), 90);
    expect(await node.read(volume)).toBe(sum);
  });

  it('waits for a path when none is left as long as no_path_retry says, then fails; a link that is back brings all of it back (F-113)', async () => {
    const { node, volume, map } = await attached(
      (text) => text.replace(/polling_interval \d+/, 'polling_interval 1').replace(/no_path_retry \d+/, 'no_path_retry 4'),
      SHORT,
    );
    const sum = await node.write(volume);
    for (const network of [0, 1] as const) await lab.cable('st', network, 'down');
    await expect(node.write(volume, 60)).rejects.toThrow('Input/output error');
    expect(await node.sh(`dmsetup status ${map}`)).toMatch(/ F \d+ .* F /);
    for (const network of [0, 1] as const) await lab.cable('st', network, 'up');
    await node.until(bothActive(map), 90);
    expect(await node.read(volume)).toBe(sum);
  });

  it('has one map, by WWID, of both paths; leaves a foreign one alone while it attaches again, grows and detaches (F-107, F-110, F-112, RP-21)', async () => {
    const { storage, node, volume, map } = await attached();
    expect(
      await node.sh(
        `readlink ${linkOf(volume)}; test -b ${linkOf(volume)}; ls /sys/class/block/$(basename $(readlink -f ${linkOf(volume)}))/slaves | wc -l`,
      ),
    ).toBe(`/dev/mapper/${map}\n2`);
    const foreign = wwidOf(await storage.volume(specOf(2)));
    await node.sh(`for s in /sys/class/iscsi_host/host*; do echo '0 0 2' > /sys/class/scsi_host/$(basename $s)/scan; done; udevadm settle; multipath -a ${foreign}
      for p in /dev/disk/by-path/*-lun-2; do multipathd add path $(basename $(readlink -f $p)); done; until test -b /dev/mapper/${foreign}; do sleep 0.1; done
      # a path that comes before udev's word of the map is taken up after it
      until dmsetup deps ${foreign} | grep -q '^2 '; do sleep 0.1; done`);
    const state = `dmsetup table ${foreign}; dmsetup info -c --noheadings -o open,events,minor ${foreign}; grep -c ${foreign} /etc/multipath/wwids`;
    const before = await node.sh(state);
    const grown = await storage.resize(volume, 2 * GIB);
    await node.done({ what: 'grow', spec: grown });
    // RP-11, F-375: each path and the map
    expect(
      await node.sh(
        `d=$(basename $(readlink -f ${linkOf(volume)})); for b in $d $(ls /sys/class/block/$d/slaves); do blockdev --getsize64 /dev/$b; done`,
      ),
    ).toBe(Array.from({ length: 3 }, () => 2 * GIB).join('\n'));
    await node.done({ what: 'attach', spec: grown }, { what: 'detach', spec: grown });
    // multipath keeps the line of a WWID that is no longer registered as a comment
    expect(
      await node.sh(
        `ls ${linkOf(volume)} /dev/mapper/${map} 2> /dev/null | wc -l; grep -c ^/${map}/ /etc/multipath/wwids || true; dmsetup ls --target multipath | wc -l`,
      ),
    ).toBe('0\n0\n1');
    expect((await node.sh(state)).split('\n')).toEqual(before.split('\n'));
  });

  it('is not taken in by a foreign device that only bears the name of its map (F-107)', async () => {
    const { storage, node } = await attached();
    const other = await storage.volume(specOf(2));
    await node.sh(
      `truncate -s 1G /root/foreign; dmsetup create ${wwidOf(other)} --table "0 2097152 linear $(losetup -f --show /root/foreign) 0"`,
    );
    const before = await node.sh(`dmsetup table ${wwidOf(other)}; dmsetup info -c --noheadings -o uuid,open,events ${wwidOf(other)}`);
    const [outcome] = await node.perform({ what: 'attach', spec: other, ms: 15_000 });
    expect(outcome).toHaveProperty('code');
    expect(await node.sh(`ls ${linkOf(other)} 2> /dev/null | wc -l`)).toBe('0');
    await node.done({ what: 'detach', spec: other });
    expect(await node.sh(`dmsetup table ${wwidOf(other)}; dmsetup info -c --noheadings -o uuid,open,events ${wwidOf(other)}`)).toBe(before);
  });
});

describe('docs/examples/multipath.conf', () => {
  it('is taken by multipath without a word, and gives the map what it says (F-112, F-113, F-114)', async () => {
    const { node, map } = await attached();
    const text = await example('multipath.conf');
    const settings = [...text.matchAll(/^ *([a-z_]+) ("?)([^\n{]+?)\2$/gm)].map(([, key, , value]) => [key ?? '', value ?? ''] as const);
    expect(settings.length).toBeGreaterThan(10);
    expect(await node.sh('multipath -t 2>&1 > /tmp/shown')).toBe('');
    const shown = await node.sh('cat /tmp/shown');
    const ours = shown.slice(shown.lastIndexOf('device {', shown.indexOf('vendor "TrueNAS"')));
    const section = ours.slice(0, ours.indexOf('}'));
    for (const [key, value] of settings)
      expect(`${shown.slice(0, shown.indexOf('}'))}${section}`).toMatch(new RegExp(`^\\s*${key} "?${value}"?$`, 'm'));
    const value = (key: string) => settings.find(([name]) => name === key)?.[1];
    expect(await node.sh(`multipathd show maps raw format '%n %Q' | grep ${map}`)).toBe(`${map} ${value('no_path_retry')} chk`);
    expect(await node.sh(`dmsetup table ${map}`)).toMatch(/ multipath \d+ .*queue_if_no_path.* 1 alua /);
    await node.until(`[ "$(cat /sys/class/iscsi_session/*/recovery_tmo | sort -u)" = ${value('fast_io_fail_tmo')} ]`);
  });
});
