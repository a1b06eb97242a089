import { createHash, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LabAgent } from '../../sim/blocks/lab/lab-agent.ts';
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

  it('runs each script in a bash of its own: status, both outputs, stdin with all bytes, and a text of any length', async () => {
    const agent = new LabAgent(machine.directory, [0]);
    const input = randomBytes(300_000);
    const long = await agent.run(`# ${'x'.repeat(200_000)}\nsha256sum | cut -d' ' -f1; echo told >&2; cd /tmp; left=1; exit 7`, {
      stdin: input,
    });
    expect({ ...long, stdout: long.stdout.toString() }).toEqual({
      stdout: `${createHash('sha256').update(input).digest('hex')}\n`,
      stderr: 'told\n',
      status: 7,
    });
    const next = await agent.run('pwd; echo "$# [$left$_lab]"; ls /proc/self/fd | wc -l; cat');
    expect(next.stdout.toString()).toBe('/\n0 []\n4\n');
    expect(await agent.run('if', { stdin: 'x' })).toMatchObject({ status: 2 });
  });

  it('ends a script and its children when its seconds are over, and runs the next one', async () => {
    const agent = new LabAgent(machine.directory, [0]);
    const late = await agent.run('echo begun; sleep 1000 | sleep 1000', { seconds: 1 });
    expect({ ...late, stdout: late.stdout.toString() }).toEqual({
      stdout: 'begun\n',
      stderr: 'lab-agent: killed after 1 s\n',
      status: 124,
    });
    expect((await agent.run('pgrep --runstates R,S,D sleep || echo none')).stdout.toString()).toBe('none\n');
  });

  it('has the time of its host in each script, however old its snapshot is', async () => {
    await machine.sh('date -s @1000000000');
    const before = Math.floor(Date.now() / 1000);
    const there = Number(await machine.sh('date +%s'));
    expect(there).toBeGreaterThanOrEqual(before);
    expect(there).toBeLessThanOrEqual(Date.now() / 1000);
  });
});
