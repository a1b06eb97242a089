import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GIB, LabNode, pvesmCommand } from '../testing/lab-node.ts';

const JOURNAL = 'ls /var/lib/pve-truenas/journal 2> /dev/null | grep -c json || true';

describe('a daemon that was killed', () => {
  let node: LabNode;
  beforeEach(async () => {
    node = await LabNode.start();
  });
  afterEach(() => node.stop());

  it('killed while a volume is attached: the next one finds it, and detaches and frees it', async () => {
    const lun = await node.volume();
    const path = await node.activate(lun);
    const sum = await node.write(path);
    const disk = await node.machine.sh(`readlink -f ${path}`);
    await node.killDaemon();
    expect(await node.read(path)).toBe(sum);
    await node.startDaemon();
    expect(await node.activate(lun)).toBe(path);
    expect(await node.machine.sh(`readlink -f ${path}`)).toBe(disk);
    await node.call('volume.free', { volume: lun.volume });
    expect(await node.devices()).toBe('');
  });

  it('killed in the middle of an allocation: the next one leaves a whole volume or none', async () => {
    await node.call('storage.activate', {});
    await node.machine.sh(
      `(${pvesmCommand('alloc', 'nas', '100', '', String(GIB / 1024))} > /tmp/alloc 2>&1 || true) &
       until [ "$(${JOURNAL})" != 0 ] || grep -q vm-100 /tmp/alloc; do :; done; kill -KILL $(cat /tmp/daemon.pid); wait`,
      400,
    );
    await node.startDaemon();
    await node.sh(`open() { ${JOURNAL}; }; settled() { [ "$(open)" = 0 ]; }; wait_for 300 settled`, 330);
    const { volumes } = await node.call('volume.list', {});
    const zvols = await node.machine.sh(`zfs list -Ho name -t volume -r ${node.sim.about.dataset} | sed 's#.*/##'`);
    const luns = (await node.sim.luns()).map(({ volume }) => volume);
    expect({ zvols, luns }).toEqual({
      zvols: volumes.map(({ volname }) => volname).join('\n'),
      luns: volumes.map(({ volname }) => volname),
    });
  });
});
