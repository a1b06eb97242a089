import { describe, expect, it } from 'vitest';
import type { ServedLun, ServedTarget } from './lun-server.ts';
import { parseConnections, TgtLunServer } from './tgt-lun-server.ts';

/** A tgtd that writes down what it is told. */
class FakeDaemon {
  readonly told: string[] = [];
  answer = '';
  fails: string | null = null;
  start(): Promise<void> {
    return Promise.resolve();
  }
  stop(): Promise<void> {
    this.told.push('stop');
    return Promise.resolve();
  }
  admin(args: readonly string[]): Promise<string> {
    const line = args.join(' ');
    this.told.push(line);
    return this.fails !== null && line.includes(this.fails) ? Promise.reject(new Error('tgtadm: no')) : Promise.resolve(this.answer);
  }
  take(): string[] {
    return this.told.splice(0).map((line) => line.replace('--mode ', '').replace('--op ', ''));
  }
}

class FakeFiles {
  generations = 0;
  missing = new Set<string>();
  path(key: string): string {
    return `/blocks/${key}`;
  }
  exists(key: string): boolean {
    return !this.missing.has(key);
  }
  generation(): number {
    return this.generations;
  }
}

const disk: ServedLun = {
  lun: 1,
  key: '7',
  device: '/dev/zvol/tank/a',
  size: 1024,
  serial: '0123456789abcde',
  naa: '0x6589cfc0000000',
  vendor: 'TrueNAS',
  productId: 'iSCSI Disk',
  blockSize: 512,
  readOnly: false,
  rotational: false,
};
const target: ServedTarget = { id: 1, iqn: 'iqn.x:pve', portals: [], luns: [disk], initiators: 'ALL', incoming: [], outgoing: null };

function setUp(): { daemon: FakeDaemon; files: FakeFiles; server: TgtLunServer } {
  const daemon = new FakeDaemon();
  const files = new FakeFiles();
  return { daemon, files, server: new TgtLunServer(daemon, files) };
}

describe('what tgtd is told', () => {
  it('makes a target with its disk before anybody may log in', async () => {
    const { daemon, server } = setUp();
    await server.apply([target]);
    expect(daemon.take()).toEqual([
      'target new --tid 1 -T iqn.x:pve',
      'logicalunit new --tid 1 --lun 1 --bstype rdwr --blocksize 512 -b /blocks/7',
      'logicalunit update --tid 1 --lun 1 --params vendor_id=TrueNAS,product_id=iSCSI Disk,scsi_sn=0123456789abcde,scsi_id=0123456789abcde,thin_provisioning=1',
      'target bind --tid 1 -I ALL',
    ]);
    await server.apply([target]);
    expect(daemon.take()).toEqual([]);
  });

  it('gives a grown or rolled back volume again, since it cannot change one in place', async () => {
    const { daemon, files, server } = setUp();
    await server.apply([target]);
    daemon.take();
    await server.apply([{ ...target, luns: [{ ...disk, size: 2048 }] }]);
    expect(daemon.take().map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'logicalunit delete',
      'logicalunit new',
      'logicalunit update',
    ]);
    files.generations = 1;
    await server.apply([{ ...target, luns: [{ ...disk, size: 2048 }] }]);
    expect(daemon.take()).toHaveLength(3);
  });

  it('takes away one disk without touching its neighbours, and the target with force', async () => {
    const { daemon, server } = setUp();
    await server.apply([{ ...target, luns: [disk, { ...disk, lun: 2, key: '8' }] }]);
    daemon.take();
    await server.apply([target]);
    expect(daemon.take()).toEqual(['logicalunit delete --tid 1 --lun 2']);
    await server.apply([]);
    expect(daemon.take()).toEqual(['target delete --force --tid 1']);
  });

  it('admits named initiators only, with their accounts', async () => {
    const { daemon, server } = setUp();
    await server.apply([
      {
        ...target,
        initiators: ['iqn.a'],
        incoming: [{ user: 'u', secret: 'twelve-chars' }],
        outgoing: { user: 'p', secret: 'other-secret' },
      },
    ]);
    expect(daemon.take().slice(3)).toEqual([
      'account new --user u --password twelve-chars',
      'account bind --tid 1 --user u',
      'account new --user p --password other-secret',
      'account bind --tid 1 --user p --outgoing',
      'target bind --tid 1 -Q iqn.a',
    ]);
    await server.apply([{ ...target, initiators: ['iqn.b'] }]);
    expect(daemon.take()).toEqual([
      'account unbind --tid 1 --user u',
      'account unbind --tid 1 --user p --outgoing',
      'target unbind --tid 1 -Q iqn.a',
      'target bind --tid 1 -Q iqn.b',
    ]);
  });

  it('leaves no half made disk when its parameters are refused', async () => {
    const { daemon, server } = setUp();
    daemon.fails = '--params';
    await expect(server.apply([target])).rejects.toThrow('tgtadm: no');
    expect(daemon.take()).toContain('logicalunit delete --tid 1 --lun 1');
    daemon.fails = null;
    await server.apply([target]);
    expect(daemon.take().filter((line) => line.startsWith('logicalunit new'))).toHaveLength(1);
  });

  it('leaves out a disk whose file is gone', async () => {
    const { daemon, files, server } = setUp();
    files.missing.add('7');
    await server.apply([target]);
    expect(daemon.take().some((line) => line.startsWith('logicalunit'))).toBe(false);
  });

  it('deletes its targets before it ends tgtd', async () => {
    const { daemon, server } = setUp();
    await server.apply([target]);
    daemon.take();
    await server.stop();
    expect(daemon.take()).toEqual(['target delete --force --tid 1', 'stop']);
  });

  it('splits no parameter at a comma of a name', async () => {
    const { daemon, server } = setUp();
    await server.apply([{ ...target, luns: [{ ...disk, productId: 'a,b=c', serial: 'x,readonly=1' }] }]);
    expect(daemon.take().find((line) => line.includes('--params'))).toContain('product_id=a b c,scsi_sn=x readonly 1,');
  });
});

describe('what tgtd shows of its sessions', () => {
  it('is read line by line', async () => {
    const text =
      'Session: 6\n    Connection: 0\n        Initiator: iqn.2008-11.org.linux-kvm\n        IP Address: 127.0.0.1\nSession: 7\n    Connection: 0\n        Initiator: iqn.b alias: none\n        IP Address: ::1\n';
    expect(parseConnections(text)).toEqual([
      { initiator: 'iqn.2008-11.org.linux-kvm', address: '127.0.0.1' },
      { initiator: 'iqn.b', address: '::1' },
    ]);
    const { daemon, server } = setUp();
    await server.apply([target]);
    daemon.answer = text;
    expect((await server.sessions()).map((one) => one.target)).toEqual(['iqn.x:pve', 'iqn.x:pve']);
  });

  it('is nothing for nothing, halves and garbage', () => {
    for (const text of ['', 'Initiator: x', 'IP Address: 1.2.3.4', '\0'.repeat(1000), 'Session: 1\n'.repeat(10_000)])
      expect(parseConnections(text)).toEqual([]);
  });
});
