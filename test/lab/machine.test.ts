import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Machine } from './testing/machine.ts';

describe('a VM of the lab', () => {
  let machine: Machine;
  beforeEach(async () => {
    machine = await Machine.restore('st');
  });
  afterEach(() => machine.stop());

  // Both leave what the other one must not find, so that the second fails whichever that is.
  const leave = 'zfs create -V 64M tank/left; echo left > /root/left; sleep 1000 > /dev/null 2>&1 & echo $! > /root/pid';
  for (const order of ['first', 'second']) {
    it(`has nothing of an earlier test: ${order} of two that leave a zvol, a file and a process`, async () => {
      expect(await machine.sh('zfs list -Ho name; ls /root; pgrep sleep || true')).toBe('tank');
      await machine.sh(leave);
    });
  }

  it('is back after a power cut in the middle of a script', async () => {
    const broken = machine.sh('echo left > /root/left; sync; sleep 50').catch(() => 'broken');
    await machine.sh('until test -s /root/left; do sleep 0.05; done');
    await machine.cutPower();
    expect(await broken).toBe('broken');
    machine = await Machine.restore('st');
    expect(await machine.sh('hostname; ls /root')).toBe('st');
  });

  it('has nothing but Debian packages', async () => {
    expect(
      await machine.sh(`for f in node perl iscsiadm nvme multipath zfs lvm; do dpkg -S $(readlink -f $(command -v $f)) > /dev/null || echo $f; done
      find /usr/local -type f; ls /opt`),
    ).toBe('');
  });
});
