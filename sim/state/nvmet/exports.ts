import type { ServedHost, ServedNvme, ServedNvmePort, ServedSubsystem } from '../../blocks/nvme-server.ts';
import { pathOfZvol, zvolOfPath } from '../iscsi/exports.ts';
import { bytesOf } from '../zfs/space.ts';
import type { ZfsState } from '../zfs/zfs-state.ts';
import type { NvmetState } from './nvmet-state.ts';
import type { HostRecord, NvmetPortRecord, SubsystemRecord } from './records.ts';

const HASHES = { 'SHA-256': 'hmac(sha256)', 'SHA-384': 'hmac(sha384)', 'SHA-512': 'hmac(sha512)' } as const;
const GROUPS = {
  '2048-BIT': 'ffdhe2048',
  '3072-BIT': 'ffdhe3072',
  '4096-BIT': 'ffdhe4096',
  '6144-BIT': 'ffdhe6144',
  '8192-BIT': 'ffdhe8192',
} as const;

/** What the NVMe-oF service shows when it reads the configuration now: enabled namespaces whose zvol is there, on enabled ports. */
export function servedNvme(nvmet: NvmetState, zfs: ZfsState): ServedNvme {
  return {
    subsystems: nvmet.subsystems.all().map((row) => subsystem(nvmet, zfs, row)),
    ports: nvmet.ports.filter((row) => row.enabled).map((row) => port(nvmet, row)),
    hosts: nvmet.hosts.all().map(host),
  };
}

function subsystem(nvmet: NvmetState, zfs: ZfsState, row: SubsystemRecord): ServedSubsystem {
  const links = nvmet.hostSubsystems.filter((one) => one.subsys_id === row.id);
  return {
    nqn: row.subnqn,
    serial: row.serial,
    hosts: row.allow_any_host ? null : links.flatMap((link) => nvmet.hosts.get(link.host_id)?.hostnqn ?? []),
    namespaces: nvmet.namespaces
      .filter((one) => one.subsys_id === row.id && one.enabled)
      .flatMap((one) => {
        const zvol = zfs.dataset(zvolOfPath(one.device_path));
        if (zvol === undefined || zvol.type !== 'VOLUME' || zfs.isLocked(zvol.name)) return [];
        const device = `/dev/${pathOfZvol(zvol.name)}`;
        return [{ nsid: one.nsid, device, uuid: one.device_uuid, nguid: one.device_nguid, size: bytesOf(zvol, 'volsize') }];
      }),
    attributes: given({
      attr_qid_max: row.qid_max,
      attr_pi_enable: row.pi_enable,
      attr_ieee_oui: row.ieee_oui === null ? null : `0x${row.ieee_oui.toLowerCase()}`,
    }),
  };
}

function port(nvmet: NvmetState, row: NvmetPortRecord): ServedNvmePort {
  const links = nvmet.portSubsystems.filter((one) => one.port_id === row.id);
  return {
    index: row.index,
    address: row.addr_traddr,
    port: row.addr_trsvcid,
    subsystems: links.flatMap((link) => nvmet.subsystems.get(link.subsys_id)?.subnqn ?? []),
    attributes: given({
      param_inline_data_size: row.inline_data_size,
      param_max_queue_size: row.max_queue_size,
      param_pi_enable: row.pi_enable,
    }),
  };
}

function host(row: HostRecord): ServedHost {
  return {
    nqn: row.hostnqn,
    key: row.dhchap_key,
    controllerKey: row.dhchap_ctrl_key,
    hash: HASHES[row.dhchap_hash],
    group: row.dhchap_dhgroup === null ? 'null' : GROUPS[row.dhchap_dhgroup],
  };
}

/** What is null is the kernel's own default. */
function given(values: Readonly<Record<string, string | number | boolean | null>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (value === null ? [] : [[name, written(value)]])));
}

function written(value: string | number | boolean): string {
  return typeof value === 'boolean' ? String(Number(value)) : String(value);
}
