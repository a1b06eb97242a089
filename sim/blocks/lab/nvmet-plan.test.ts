import { describe, expect, it } from 'vitest';
import type { ServedNvme } from '../nvme-server.ts';
import type { ConfigStep } from './configfs-shell.ts';
import { nvmetPlan, revalidation } from './nvmet-plan.ts';
import { MARK, standingNvme } from './nvmet-standing.ts';
import { FakeConfigfs } from './testing/fake-configfs.ts';

const HOST = 'nqn.2014-08.org.nvmexpress:uuid:00000000-0000-4000-8000-000000000010';
const SUB = 'nqn.2011-06.com.truenas:uuid:lab:pve';
const KEY = 'DHHC-1:01:VRocVKxMQ3qZ1ULrTcRJbWMgUTgKp1NE5b9xYrcMa1ydkWYf:';
const WANTED: ServedNvme = {
  subsystems: [
    {
      nqn: SUB,
      serial: '6937b081fab8abc31b91',
      hosts: [HOST],
      namespaces: [
        {
          nsid: 1,
          device: '/dev/zvol/tank/a',
          uuid: 'b3fab107-0bd3-4a26-981c-30db44191823',
          nguid: '8a29e25a-0256-48ed-abd3-79a79e136847',
          size: 2 ** 30,
        },
      ],
      attributes: { attr_qid_max: '16' },
    },
  ],
  ports: [{ index: 1, address: '127.0.0.1', port: 4420, subsystems: [SUB], attributes: { param_max_queue_size: '512' } }],
  hosts: [{ nqn: HOST, key: KEY, controllerKey: null, hash: 'hmac(sha256)', group: 'ffdhe2048' }],
};
const [SUBSYSTEM] = WANTED.subsystems;
const [PORT] = WANTED.ports;
const [NAMED] = WANTED.hosts;
if (SUBSYSTEM === undefined || PORT === undefined || NAMED === undefined) throw new Error('the example is incomplete');
const NOTHING: ServedNvme = { subsystems: [], ports: [], hosts: [] };

const short = (steps: readonly (readonly ConfigStep[])[]): string[] =>
  steps.flat().map((step) => step.join(' ').replaceAll('nvmet/subsystems/', '').replaceAll(SUB, 'SUB').replaceAll(HOST, 'HOST'));

/** configfs after the steps to `wanted`. */
function configured(wanted: ServedNvme = WANTED): FakeConfigfs {
  const configfs = new FakeConfigfs();
  configfs.change(nvmetPlan(wanted, standingNvme(configfs.tree())));
  return configfs;
}
const plan = (wanted: ServedNvme, configfs = configured()): string[] => short(nvmetPlan(wanted, standingNvme(configfs.tree())));

describe('the configuration of nvmet', () => {
  it('is made from the host to the port, so that nobody sees half a subsystem', () => {
    expect(plan(WANTED, new FakeConfigfs())).toEqual([
      'mkdir nvmet/hosts/HOST',
      'write nvmet/hosts/HOST/dhchap_hash hmac(sha256)',
      'write nvmet/hosts/HOST/dhchap_dhgroup ffdhe2048',
      `write nvmet/hosts/HOST/dhchap_key ${KEY}`,
      'mkdir SUB',
      `write SUB/attr_firmware ${MARK}`,
      'write SUB/attr_model TrueNAS NVMe',
      'write SUB/attr_serial 6937b081fab8abc31b91',
      'write SUB/attr_allow_any_host 0',
      'write SUB/attr_qid_max 16',
      'mkdir SUB/namespaces/1',
      'write SUB/namespaces/1/device_path /dev/zvol/tank/a',
      'write SUB/namespaces/1/device_uuid b3fab107-0bd3-4a26-981c-30db44191823',
      'write SUB/namespaces/1/device_nguid 8a29e25a-0256-48ed-abd3-79a79e136847',
      'write SUB/namespaces/1/enable 1',
      'link nvmet/hosts/HOST SUB/allowed_hosts/HOST',
      'mkdir nvmet/ports/1',
      'write nvmet/ports/1/addr_trtype tcp',
      'write nvmet/ports/1/addr_adrfam ipv4',
      'write nvmet/ports/1/addr_traddr 127.0.0.1',
      'write nvmet/ports/1/addr_trsvcid 4420',
      'write nvmet/ports/1/param_max_queue_size 512',
      'link SUB nvmet/ports/1/subsystems/SUB',
    ]);
  });

  it('is left alone when it is what it shall be', () => {
    expect(plan(WANTED)).toEqual([]);
  });

  it('goes without a rest when the service stops', () => {
    const configfs = configured();
    configfs.change(nvmetPlan(NOTHING, standingNvme(configfs.tree())));
    expect(configfs.paths()).toEqual([]);
  });

  it('gains and loses a namespace by steps on it alone', () => {
    const more = { nsid: 2, device: '/dev/zvol/tank/b', uuid: 'c', nguid: 'd', size: 1 };
    const two = { ...WANTED, subsystems: [{ ...SUBSYSTEM, namespaces: [...SUBSYSTEM.namespaces, more] }] };
    expect(plan(two).map((one) => one.split(' ')[1])).toEqual([
      'SUB/namespaces/2',
      ...['device_path', 'device_uuid', 'device_nguid', 'enable'].map((name) => `SUB/namespaces/2/${name}`),
    ]);
    expect(plan({ ...WANTED, subsystems: [{ ...SUBSYSTEM, namespaces: [] }] })).toEqual([
      'write SUB/namespaces/1/enable 0',
      'rmdir SUB/namespaces/1',
    ]);
  });

  it('makes a namespace anew when another zvol is behind its number', () => {
    const other = SUBSYSTEM.namespaces.map((one) => ({ ...one, device: '/dev/zvol/tank/b', uuid: 'e' }));
    expect(plan({ ...WANTED, subsystems: [{ ...SUBSYSTEM, namespaces: other }] }).slice(0, 4)).toEqual([
      'write SUB/namespaces/1/enable 0',
      'rmdir SUB/namespaces/1',
      'mkdir SUB/namespaces/1',
      'write SUB/namespaces/1/device_path /dev/zvol/tank/b',
    ]);
  });

  it('opens a subsystem to every host only after the last named one went, and closes it the other way round', () => {
    expect(plan({ ...WANTED, subsystems: [{ ...SUBSYSTEM, hosts: null }] })).toEqual([
      'unlink SUB/allowed_hosts/HOST',
      'rmdir nvmet/hosts/HOST',
      'write SUB/attr_allow_any_host 1',
    ]);
    const open = configured({ ...WANTED, subsystems: [{ ...SUBSYSTEM, hosts: null }] });
    const closed = plan(WANTED, open);
    expect(closed.indexOf('write SUB/attr_allow_any_host 0')).toBeLessThan(closed.indexOf('link nvmet/hosts/HOST SUB/allowed_hosts/HOST'));
  });

  it('makes a host anew when its key is another or none, since the kernel takes no key away', () => {
    const steps = plan({ ...WANTED, hosts: [{ ...NAMED, key: null }] });
    expect(steps).toEqual([
      'unlink SUB/allowed_hosts/HOST',
      'rmdir nvmet/hosts/HOST',
      'mkdir nvmet/hosts/HOST',
      'write nvmet/hosts/HOST/dhchap_hash hmac(sha256)',
      'write nvmet/hosts/HOST/dhchap_dhgroup ffdhe2048',
      'link nvmet/hosts/HOST SUB/allowed_hosts/HOST',
    ]);
  });

  it('makes a port anew when its address is another, and takes down one that shows nothing', () => {
    const moved = plan({ ...WANTED, ports: [{ ...PORT, address: '::1' }] });
    expect(moved.slice(0, 3)).toEqual(['unlink nvmet/ports/1/subsystems/SUB', 'rmdir nvmet/ports/1', 'mkdir nvmet/ports/1']);
    expect(moved).toContain('write nvmet/ports/1/addr_adrfam ipv6');
    expect(plan({ ...WANTED, ports: [{ ...PORT, subsystems: [] }] })).toEqual([
      'unlink nvmet/ports/1/subsystems/SUB',
      'rmdir nvmet/ports/1',
    ]);
  });

  it('does not touch what somebody made by hand', () => {
    const configfs = configured();
    const byHand: ConfigStep[] = [
      ['mkdir', 'nvmet/subsystems/nqn.by-hand'],
      ['write', 'nvmet/subsystems/nqn.by-hand/attr_firmware', '6.12.107'],
      ['mkdir', 'nvmet/ports/7'],
      ['link', 'nvmet/subsystems/nqn.by-hand', 'nvmet/ports/7/subsystems/nqn.by-hand'],
      ['link', `nvmet/hosts/${HOST}`, `nvmet/subsystems/nqn.by-hand/allowed_hosts/${HOST}`],
    ];
    configfs.change([byHand]);
    expect(plan(WANTED, configfs)).toEqual([]);
    configfs.change(nvmetPlan(NOTHING, standingNvme(configfs.tree())));
    expect(configfs.paths().filter((path) => !path.includes('attr_') && !path.includes('dhchap_'))).toEqual([
      `nvmet/hosts/${HOST}`,
      'nvmet/ports/7',
      'nvmet/ports/7/subsystems/nqn.by-hand',
      'nvmet/subsystems/nqn.by-hand',
      `nvmet/subsystems/nqn.by-hand/allowed_hosts/${HOST}`,
    ]);
  });

  it('tells hosts of a grown namespace by one write (RP-30)', () => {
    expect(short(revalidation([[SUB, 1]]))).toEqual(['write SUB/namespaces/1/revalidate_size 1']);
  });
});
