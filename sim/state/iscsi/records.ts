import * as z from 'zod';

const id = z.int().min(1);
const text = z.string();

export const portalRecord = z.strictObject({ id, tag: z.int().min(1), comment: text, listen: z.array(text) });
export type PortalRecord = z.infer<typeof portalRecord>;

export const initiatorRecord = z.strictObject({ id, initiators: z.array(text), comment: text });
export type InitiatorRecord = z.infer<typeof initiatorRecord>;

export const authMethod = z.enum(['NONE', 'CHAP', 'CHAP_MUTUAL']);
export const authRecord = z.strictObject({
  id,
  tag: z.int(),
  user: text,
  secret: text,
  peeruser: text,
  peersecret: text,
  discovery_auth: authMethod,
});
export type AuthRecord = z.infer<typeof authRecord>;

export const targetGroup = z.strictObject({
  portal: z.int(),
  initiator: z.int().nullable(),
  authmethod: authMethod,
  /** tag of an authorized access, not its id */
  auth: z.int().nullable(),
});
export type TargetGroup = z.infer<typeof targetGroup>;

export const targetRecord = z.strictObject({
  id,
  name: text.min(1).max(120),
  alias: text.nullable(),
  mode: z.enum(['ISCSI', 'FC', 'BOTH']),
  groups: z.array(targetGroup),
  auth_networks: z.array(text),
  rel_tgt_id: z.int().min(1),
  iscsi_parameters: z
    .strictObject({
      QueuedCommands: z
        .union([z.literal(32), z.literal(128)])
        .nullable()
        .optional(),
    })
    .nullable(),
});
export type TargetRecord = z.infer<typeof targetRecord>;

export const extentRecord = z.strictObject({
  id,
  name: text.min(1).max(64),
  type: z.enum(['DISK', 'FILE']),
  /** `zvol/<dataset>` with '+' for ' ' */
  path: text,
  serial: text,
  filesize: z.union([text, z.int()]),
  blocksize: z.union([z.literal(512), z.literal(1024), z.literal(2048), z.literal(4096)]),
  pblocksize: z.boolean(),
  avail_threshold: z.int().nullable(),
  comment: text,
  naa: text.regex(/^0x[0-9a-f]{32}$/),
  insecure_tpc: z.boolean(),
  xen: z.boolean(),
  rpm: z.enum(['UNKNOWN', 'SSD', '5400', '7200', '10000', '15000']),
  ro: z.boolean(),
  enabled: z.boolean(),
  vendor: text,
  product_id: text.nullable(),
});
export type ExtentRecord = z.infer<typeof extentRecord>;

export const mappingRecord = z.strictObject({ id, target: z.int(), extent: z.int(), lunid: z.int().min(0) });
export type MappingRecord = z.infer<typeof mappingRecord>;

export const globalRecord = z.strictObject({
  basename: text,
  isns_servers: z.array(text),
  listen_port: z.int().min(1025).max(65535),
  pool_avail_threshold: z.int().nullable(),
  alua: z.boolean(),
  iser: z.boolean(),
  direct_config: z.boolean().nullable(),
  mode: z.int().min(0).max(1),
});
export type GlobalRecord = z.infer<typeof globalRecord>;

export const iscsiDump = z.strictObject({
  global: globalRecord,
  portals: z.array(portalRecord),
  initiators: z.array(initiatorRecord),
  auths: z.array(authRecord),
  targets: z.array(targetRecord),
  extents: z.array(extentRecord),
  mappings: z.array(mappingRecord),
});
