import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OneNode } from './testing/one-node.ts';
import type { Spec } from './testing/operations.ts';
import { GIB, linkOf, specOf } from './testing/specs.ts';

/** RP-13: at the LUN number of a volume stands another one by now; the kernel goes on showing the old identity and size. */
describe('a LUN number that was given to another volume', () => {
  let node: OneNode;
  let old: Spec;
  let now: Spec;
  const exchange = 'lio_unmap d1 1; lio_undisk d1; wait_for 20 zfs destroy tank/d1; lio_map d2 1';

  beforeAll(async () => {
    now = specOf(2, { lun: 1, size: 2 * GIB });
    node = await OneNode.start(async (fresh) => {
      old = await fresh.volume(1);
      await fresh.volume(2, { size: 2 * GIB, map: false });
    });
  });
  beforeEach(() => node.again());
  afterAll(() => node.stop());

  const sizeAndName = (spec: Spec): Promise<string> =>
    node.sh(`blockdev --getsize64 ${linkOf(spec)}; /lib/udev/scsi_id -g -u ${linkOf(spec)}`);
  const right = (spec: Spec): string => `${spec.size}\n3${spec.naa.slice(2)}`;

  it('is never handed out as the old one, in the same process: removed, found anew, with its own size and content (RP-13)', async () => {
    const [, , attached] = await node.perform(
      { what: 'attach', spec: old },
      { what: 'script', text: node.withFunctions(exchange) },
      { what: 'attach', spec: now },
    );
    expect(attached).toHaveProperty('value');
    expect(await sizeAndName(now)).toBe(right(now));
    const sum = await node.write(linkOf(now));
    expect(await node.read('/dev/zvol/tank/d2')).toBe(sum);
  });

  it('is never handed out as the old one after the daemon was restarted (RP-13)', async () => {
    await node.done({ what: 'attach', spec: old });
    await node.sh(exchange);
    await node.restartDaemon();
    await node.done({ what: 'attach', spec: now });
    expect(await sizeAndName(now)).toBe(right(now));
  });

  it('is refused when the volume that is wanted is the one that lost its number (RP-13, F-103)', async () => {
    await node.done({ what: 'attach', spec: old });
    const sum = await node.read('/dev/zvol/tank/d2');
    await node.sh(exchange);
    const [outcome] = await node.perform({ what: 'attach', spec: old, ms: 60_000 });
    expect(outcome).toMatchObject({ code: 'DEVICE_IDENTITY', message: expect.stringContaining(now.naa.slice(2)) as string });
    expect(await node.read('/dev/zvol/tank/d2')).toBe(sum);
  });

  it("leftovers of somebody else's full scan are replaced as well (RP-13)", async () => {
    await node.sh(`iscsiadm -m node -o new -T ${old.iqn} -p 127.0.0.1:3260; iscsiadm -m node -T ${old.iqn} --login; udevadm settle
      wait_for 20 test -b /dev/disk/by-id/wwn-${old.naa}`);
    await node.sh(exchange);
    await node.done({ what: 'attach', spec: now });
    expect(await sizeAndName(now)).toBe(right(now));
  });

  it('an old device that somebody holds stays; the error names the holder (RP-13)', async () => {
    const device = await node.done({ what: 'attach', spec: old });
    await node.sh(`sleep 600 < ${device} > /dev/null 2>&1 & sleep 0.1; lio_unmap d1 1; lio_map d2 1`);
    const [outcome] = await node.perform({ what: 'attach', spec: now, ms: 60_000 });
    expect(outcome).toMatchObject({ code: 'DEVICE_IDENTITY', message: expect.stringMatching(/held by sleep \(process \d+\)/) as string });
    expect(await node.sh(`test -b ${device} && echo there`)).toBe('there');
  });

  it('detaching the old volume leaves a device alone that is another one by now (RP-13)', async () => {
    const device = await node.done({ what: 'attach', spec: old });
    await node.sh(exchange);
    expect(await node.done({ what: 'detach', spec: old })).toBe('done');
    expect(await node.sh(`test -b ${device} && echo there; ls ${linkOf(old)} 2> /dev/null || echo no link`)).toBe('there\nno link');
  });

  it('LUN 0 without its volume is a read-only disk of 32 KiB: never handed out, replaced when a volume is there again (RP-14)', async () => {
    await node.sh('lio_unmap d1 1; lio_map d1 0');
    const zero = { ...old, lun: 0 };
    const device = await node.done({ what: 'attach', spec: zero });
    await node.sh(`lio_unmap d1 0; echo 1 > /sys/class/block/${device.slice(5)}/device/rescan`);
    expect(await node.sh(`blockdev --getsize64 ${device}`)).toBe('32768');
    const [outcome] = await node.perform({ what: 'attach', spec: zero, ms: 12_000 });
    expect(outcome).toMatchObject({ code: expect.stringMatching(/^DEVICE_(IDENTITY|MISSING)$/) as string });
    await node.sh('lio_map d2 0');
    await node.done({ what: 'attach', spec: { ...now, lun: 0 } });
    expect(await sizeAndName(now)).toBe(right(now));
  });

  it('detaching a volume that was unmapped before removes its dead device (RP-12)', async () => {
    await node.done({ what: 'attach', spec: old });
    await node.sh('lio_unmap d1 1');
    expect(await node.done({ what: 'detach', spec: old })).toBe('done');
    expect(await node.sh('ls /sys/class/scsi_device')).toBe('');
  });
});
