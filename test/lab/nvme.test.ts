import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { GIB, LabArray } from './testing/lab-array.ts';
import { Machine } from './testing/machine.ts';

const namespaceEntry = z.object({ id: z.number(), device_uuid: z.string(), device_nguid: z.string() });
const subsystemEntry = z.object({ id: z.number(), subnqn: z.string(), serial: z.string() });
const until = (condition: string): string =>
  `for ((i = 0; i < 300; i++)); do if ${condition}; then break; fi; sleep 0.5; done; ${condition};`;
const sha = (device: string): string => `dd if=${device} bs=1M count=1 iflag=direct status=none | sha256sum | cut -d' ' -f1`;

describe('NVMe/TCP in the lab', () => {
  let machine: Machine;
  let array: LabArray | null = null;
  /** on a machine that is busy with other things */
  const sh = (script: string): Promise<string> => machine.sh(script, 200);
  beforeEach(async () => {
    machine = await Machine.restore('st');
  });
  afterEach(async () => {
    await array?.stop();
    array = null;
    await machine.stop();
  });

  it('a namespace is found by its UUID, read, written, grown and let go; nothing is left (RP-01, RP-30, RP-31)', async () => {
    array = await LabArray.start(machine);
    await array.call('service.start', 'nvmet');
    const zvol = await array.zvol('vm-100-disk-0');
    const subsystem = subsystemEntry.parse(await array.call('nvmet.subsys.create', { name: 'pve' }));
    const wanted = { subsys_id: subsystem.id, device_type: 'ZVOL', device_path: `zvol/${zvol}` };
    const namespace = namespaceEntry.parse(await array.call('nvmet.namespace.create', wanted));
    const port = await array.made('nvmet.port.create', { addr_trtype: 'TCP', addr_traddr: '127.0.0.1', addr_trsvcid: 4420 });
    const shown = await array.made('nvmet.port_subsys.create', { port_id: port, subsys_id: subsystem.id });

    // a host that is not named is refused, then the named one gets in
    const connect = `nvme connect -t tcp -a 127.0.0.1 -s 4420 -n ${subsystem.subnqn}`;
    expect(await sh(`${connect} > /dev/null 2>&1 && echo in || echo refused`)).toBe('refused');
    const host = await array.made('nvmet.host.create', { hostnqn: await sh('cat /etc/nvme/hostnqn') });
    await array.call('nvmet.host_subsys.create', { host_id: host, subsys_id: subsystem.id });
    const device = `/dev/disk/by-id/nvme-uuid.${namespace.device_uuid}`;
    await sh(`${connect}; udevadm wait --timeout=150 ${device}`);
    const disk = (await sh(`readlink -f ${device}`)).replace('/dev/', '');
    expect(await sh(`cat /sys/block/${disk}/{wwid,nguid}; echo $(cat /sys/block/${disk}/device/{serial,model})`)).toBe(
      `uuid.${namespace.device_uuid}\n${namespace.device_nguid}\n${subsystem.serial} TrueNAS NVMe`,
    );
    expect(await sh(`zfs destroy ${zvol} 2>&1 || true`)).toContain('dataset is busy');

    await sh(`dd if=/dev/urandom of=${device} bs=1M count=1 oflag=direct status=none`);
    const content = await sh(sha(`/dev/zvol/${zvol}`));
    expect(await sh(sha(device))).toBe(content);
    await array.call('pool.dataset.update', zvol, { volsize: 2 * GIB });
    await sh(until(`test "$(blockdev --getsize64 ${device})" = ${2 * GIB}`));
    expect(await sh(sha(device))).toBe(content);

    expect(await sh(`nvme disconnect -n ${subsystem.subnqn}`)).toContain('disconnected 1 controller(s)');
    await array.call('nvmet.port_subsys.delete', shown);
    await array.call('nvmet.namespace.delete', namespace.id);
    await array.call('nvmet.subsys.delete', subsystem.id);
    expect(await sh('find /sys/kernel/config/nvmet -mindepth 2; ls -d /sys/block/nvme* 2> /dev/null || true')).toBe('');
    expect(await array.call('pool.dataset.delete', zvol)).toBe(true);
    expect(await sh(`zfs list -Ho name ${zvol} 2>&1 || true`)).toContain('dataset does not exist');
  });

  it('the stopped service shows nothing, the started one all of it again', async () => {
    array = await LabArray.start(machine);
    const zvol = await array.zvol('vm-100-disk-0');
    const subsystem = subsystemEntry.parse(await array.call('nvmet.subsys.create', { name: 'pve', allow_any_host: true }));
    await array.call('nvmet.namespace.create', { subsys_id: subsystem.id, device_type: 'ZVOL', device_path: `zvol/${zvol}` });
    const port = await array.made('nvmet.port.create', { addr_trtype: 'TCP', addr_traddr: '127.0.0.1', addr_trsvcid: 4420 });
    await array.call('nvmet.port_subsys.create', { port_id: port, subsys_id: subsystem.id });
    const listening = "ss -Hltn 'sport = :4420' | wc -l";
    expect(await sh(listening)).toBe('0');
    await array.call('service.start', 'nvmet');
    expect(await sh(listening)).toBe('1');
    await sh(`nvme discover -t tcp -a 127.0.0.1 -s 4420 | grep -q 'subnqn: *${subsystem.subnqn}'`);
    await array.call('service.stop', 'nvmet');
    expect(await sh(`${listening}; find /sys/kernel/config/nvmet -mindepth 2`)).toBe('0');
  });
});
