import { describe, expect, it } from 'vitest';
import { deadlineAfter } from '../../core/deadline.ts';
import type { LunSpec } from '../../core/host-port.ts';
import type { Deadline } from '../../core/ports.ts';
import type { CommandResult, Commands } from '../commands.ts';
import { commandMissing } from '../commands.ts';
import { createHost } from '../host.ts';
import { FakeNode, naaOf } from '../testing/fake-node.ts';

const SPEC: LunSpec = {
  storage: 'tn',
  volume: 'vm-100-disk-0',
  iqn: 'iqn.2005-10.org.freenas.ctl:proxmox',
  portals: [{ host: 'fd00::1', port: 3260 }],
  lun: 1,
  naa: naaOf('a'),
  serial: '0123456789abcde',
  size: 1024 ** 3,
  multipath: false,
};
const URL = 'iscsi://[fd00::1]:3260/iqn.2005-10.org.freenas.ctl:proxmox/1';
const SERIAL = 'Unit Serial Number:[                     0123456789abcde]\n';
const CAPACITY = 'RETURNED LOGICAL BLOCK ADDRESS:2097151\nLOGICAL BLOCK LENGTH IN BYTES:512\nP_TYPE:0 PROT_EN:0\nTotal size:1073741824\n';

function setup(
  inquiry: string | Error,
  capacity: string,
): { host: ReturnType<typeof createHost>['direct']; node: FakeNode; log: (readonly string[])[]; within: () => Deadline } {
  const node = new FakeNode();
  const log: (readonly string[])[] = [];
  const commands: Commands = {
    run: (argv): Promise<CommandResult> => {
      log.push(argv);
      if (inquiry instanceof Error) return Promise.reject(inquiry);
      return Promise.resolve({ stdout: argv[0] === 'iscsi-inq' ? inquiry : capacity, stderr: '', exitCode: 0 });
    },
  };
  return { host: createHost({ ...node.context, commands }).direct, node, log, within: () => deadlineAfter(node.clock, 60_000, 'test') };
}

describe('QemuDirect', () => {
  it('verifies and records the URL under runDir, IPv6 in brackets, with the initiator name of the node', async () => {
    const { host, node, log, within } = setup(SERIAL, CAPACITY);
    node.files.put('/etc/iscsi/initiatorname.iscsi', '# comment\nInitiatorName=iqn.1993-08.org.debian:01:abc\n');
    await expect(host.attach(SPEC, within())).resolves.toEqual({ path: URL, device: URL });
    expect(await node.files.readLink('/run/pve-truenas/direct/tn/vm-100-disk-0')).toBe(URL);
    expect(log).toEqual([
      ['iscsi-inq', '-i', 'iqn.1993-08.org.debian:01:abc', '-e', '1', '-c', '128', URL],
      ['iscsi-readcapacity16', '-i', 'iqn.1993-08.org.debian:01:abc', URL],
    ]);
  });

  it('refuses CHAP, whose secret would stand in the URL', async () => {
    const { host, log, within } = setup(SERIAL, CAPACITY);
    await expect(host.attach({ ...SPEC, chap: { user: 'u', password: 'topsecret1234' } }, within())).rejects.toMatchObject({
      code: 'NOT_SUPPORTED',
    });
    expect(log).toEqual([]);
  });

  it('names the package when the tools are missing', async () => {
    const { host, within } = setup(commandMissing('iscsi-inq', Object.assign(new Error('spawn'), { code: 'ENOENT' })), '');
    await expect(host.attach(SPEC, within())).rejects.toMatchObject({ code: 'HOST_COMMAND', hints: ['apt install libiscsi-bin'] });
  });

  it.each([
    ['nothing', '', CAPACITY],
    ['a serial without brackets', 'Unit Serial Number:0123456789abcde\n', CAPACITY],
    ['no capacity', SERIAL, ''],
    ['a capacity of 2^64', SERIAL, 'RETURNED LOGICAL BLOCK ADDRESS:18446744073709551615\nLOGICAL BLOCK LENGTH IN BYTES:512\n'],
    ['a block size of 0', SERIAL, 'RETURNED LOGICAL BLOCK ADDRESS:5\nLOGICAL BLOCK LENGTH IN BYTES:0\n'],
  ])('takes %s for an error and not for a device', async (_what, inquiry, capacity) => {
    const { host, node, within } = setup(inquiry, capacity);
    await expect(host.attach(SPEC, within())).rejects.toMatchObject({ code: 'HOST_COMMAND' });
    expect(node.files.paths('/run/')).toEqual([]);
  });

  it.each([
    ['longer', '0123456789abcdef'],
    ['shorter', '0123456789abcd'],
    ['empty', ''],
  ])('F-103: a serial that is %s is another volume', async (_what, serial) => {
    const { host, within } = setup(`Unit Serial Number:[${serial}]\n`, CAPACITY);
    await expect(host.attach(SPEC, within())).rejects.toMatchObject({ code: 'DEVICE_IDENTITY' });
  });

  it('refuses a volume that climbs out of the record directory', async () => {
    const { host, within } = setup(SERIAL, CAPACITY);
    await expect(host.attach({ ...SPEC, volume: '..' }, within())).rejects.toMatchObject({ code: 'NAME_INVALID' });
    await expect(host.detach({ storage: '..', volume: 'x' }, within())).rejects.toMatchObject({ code: 'NAME_INVALID' });
  });

  it('grow has nothing to do without a record', async () => {
    const { host, log, within } = setup(SERIAL, CAPACITY);
    await host.grow({ ...SPEC, size: 2 * SPEC.size }, within());
    expect(log).toEqual([]);
  });
});
