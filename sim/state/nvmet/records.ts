import * as z from 'zod';

const id = z.int().min(1);
const text = z.string();

export const nvmetGlobalRecord = z.strictObject({
  basenqn: text,
  kernel: z.boolean(),
  ana: z.boolean(),
  rdma: z.boolean(),
  xport_referral: z.boolean(),
});
export type NvmetGlobalRecord = z.infer<typeof nvmetGlobalRecord>;

export const subsystemRecord = z.strictObject({
  id,
  name: text.min(1),
  subnqn: text,
  serial: text,
  allow_any_host: z.boolean(),
  pi_enable: z.boolean().nullable(),
  qid_max: z.int().nullable(),
  ieee_oui: text.nullable(),
  ana: z.boolean().nullable(),
});
export type SubsystemRecord = z.infer<typeof subsystemRecord>;

export const namespaceRecord = z.strictObject({
  id,
  nsid: z.int().min(1).max(0xff_ff_ff_fe),
  subsys_id: z.int(),
  /** FILE namespaces are not modelled. */
  device_type: z.literal('ZVOL'),
  /** `zvol/<dataset>` with '+' for ' ' */
  device_path: text,
  filesize: z.int().nullable(),
  device_uuid: text,
  device_nguid: text,
  enabled: z.boolean(),
});
export type NamespaceRecord = z.infer<typeof namespaceRecord>;

export const nvmetPortRecord = z.strictObject({
  id,
  index: z.int().min(1),
  addr_trtype: z.literal('TCP'),
  addr_trsvcid: z.int(),
  addr_traddr: text,
  inline_data_size: z.int().nullable(),
  max_queue_size: z.int().nullable(),
  pi_enable: z.boolean().nullable(),
  enabled: z.boolean(),
});
export type NvmetPortRecord = z.infer<typeof nvmetPortRecord>;

export const DH_GROUPS = ['2048-BIT', '3072-BIT', '4096-BIT', '6144-BIT', '8192-BIT'] as const;
export const DH_HASHES = ['SHA-256', 'SHA-384', 'SHA-512'] as const;

export const hostRecord = z.strictObject({
  id,
  hostnqn: text,
  /** 26.0 only */
  description: text,
  dhchap_key: text.nullable(),
  dhchap_ctrl_key: text.nullable(),
  dhchap_dhgroup: z.enum(DH_GROUPS).nullable(),
  dhchap_hash: z.enum(DH_HASHES),
});
export type HostRecord = z.infer<typeof hostRecord>;

/** Which host may use which subsystem. */
export const hostSubsystemRecord = z.strictObject({ id, host_id: z.int(), subsys_id: z.int() });
export type HostSubsystemRecord = z.infer<typeof hostSubsystemRecord>;

/** On which port a subsystem is to be had. */
export const portSubsystemRecord = z.strictObject({ id, port_id: z.int(), subsys_id: z.int() });
export type PortSubsystemRecord = z.infer<typeof portSubsystemRecord>;

export const nvmetDump = z.strictObject({
  global: nvmetGlobalRecord,
  subsystems: z.array(subsystemRecord),
  namespaces: z.array(namespaceRecord),
  ports: z.array(nvmetPortRecord),
  hosts: z.array(hostRecord),
  hostSubsystems: z.array(hostSubsystemRecord),
  portSubsystems: z.array(portSubsystemRecord),
});
