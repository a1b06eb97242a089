import { parseDocument } from 'yaml';
import * as z from 'zod';
import { datasetRule, nqnRule, targetRule } from '../config/volume-rules.ts';
import { fingerprintRule, hostRule, usernameRule } from '../config/text-rules.ts';
import type { TextRule } from '../config/setting.ts';
import { StorageError } from '../core/errors.ts';
import { printable } from '../core/volume-name.ts';

function ruled<T>(rule: TextRule<T>): z.ZodType<string> {
  return z.string().superRefine((text, context) => {
    const checked = rule(text);
    if ('wrong' in checked) context.addIssue({ code: 'custom', message: checked.wrong });
  });
}

const iqn = z.string().regex(/^(?:iqn\.\d{4}-\d{2}\.[^\s,]{1,200}|eui\.[0-9A-Fa-f]{16})$/, 'is no iSCSI name (iqn. or eui.)');
const nodeName = z.string().min(1).max(64);
const ip = z.union([z.ipv4(), z.ipv6()]);

/** Everything that setup asks for, except the administrator's secret: that is never in a file of answers. */
const answersModel = z.strictObject({
  storage: z
    .string()
    .regex(/^[a-z][a-z0-9\-_.]{0,98}[a-z0-9]$/i, 'is not a storage id')
    .describe('id of the storage in PVE'),
  host: ruled(hostRule).describe('name or address of TrueNAS'),
  port: z.int().min(1).max(65_535).default(443).describe('TCP port of its API'),
  fingerprint: ruled(fingerprintRule).optional().describe('SHA-256 fingerprint of its certificate; asked for when it is not trusted'),
  admin: ruled(usernameRule).default('truenas_admin').describe('administrator who makes what is missing'),
  dataset: ruled(datasetRule).describe('dataset for the volumes, POOL/NAME; made when it is missing'),
  transport: z
    .enum(['iscsi', 'nvme-tcp'])
    .default('iscsi')
    .describe('iscsi or nvme-tcp; with nvme-tcp TrueNAS is made ready and no storage is added'),
  target: ruled(targetRule).default('proxmox').describe('iSCSI target, its short name'),
  portals: z.array(ip).min(1).max(64).describe('addresses of TrueNAS that serve iSCSI or NVMe/TCP'),
  multipath: z.boolean().default(false).describe('use the paths to all portals at once, by multipath-tools'),
  initiators: z.record(nodeName, iqn).default({}).describe('IQN of each node; that of this node is read by itself'),
  hosts: z.record(nodeName, ruled(nqnRule)).default({}).describe('NQN of each node, for NVMe/TCP; that of this node is read by itself'),
  user: ruled(usernameRule).default('pve-truenas').describe('TrueNAS user that owns the API key'),
  initiator: z.enum(['kernel', 'qemu']).default('kernel').describe('whose iSCSI initiator the VMs use: kernel or qemu'),
  probe: z.boolean().default(true).describe('write to a disk of 1 GiB at the end, and free it'),
});
export type Answers = z.output<typeof answersModel>;

/** Names of all answers; flags are named alike. */
export const ANSWERS = answersModel.shape;
const NAMES = Object.keys(ANSWERS);
const SECRETS = /^(?:admin[-_])?(?:password|pass|key|api[-_]?key|secret|token)$/i;
const MAX_BYTES = 64 * 1024;

/** The answers of a YAML file, not yet complete. Errors: SETUP_ANSWERS. */
export function parseYamlAnswers(text: string): Readonly<Record<string, unknown>> {
  if (Buffer.byteLength(text) > MAX_BYTES) throw unusable('the file is longer than 64 KiB');
  const document = parseDocument(text, { uniqueKeys: true, merge: false, schema: 'core' });
  const [fault] = document.errors;
  if (fault !== undefined) throw unusable(`the file is no YAML: ${printable(fault.message.split('\n')[0] ?? '')}`);
  let value: unknown;
  try {
    // Anchors are not wanted: a small file could unfold to gigabytes.
    value = document.toJS({ maxAliasCount: 0 });
  } catch (error) {
    throw unusable(`the file cannot be read: ${printable(error instanceof Error ? error.message : String(error))}`);
  }
  const parsed = z.record(z.string(), z.unknown()).safeParse(value);
  if (!parsed.success) throw unusable('the file holds no names with values');
  // The keys as they were written: zod passes over __proto__.
  for (const name of Object.keys(value ?? {})) assertKnown(name);
  return parsed.data;
}

function assertKnown(name: string): void {
  if (Object.hasOwn(ANSWERS, name)) return;
  if (SECRETS.test(name)) {
    throw unusable(`'${printable(name)}': a secret does not belong into this file`, [
      'PVE_TRUENAS_ADMIN_PASSWORD or PVE_TRUENAS_ADMIN_KEY in the environment',
      '--password-file FILE or --key-file FILE; - is standard input',
    ]);
  }
  const near = NAMES.map((known) => ({ known, far: distance(name.slice(0, 40), known) })).sort((a, b) => a.far - b.far)[0];
  const meant = near === undefined || near.far > 3 ? `; known are ${NAMES.join(', ')}` : `; did you mean ${near.known}?`;
  throw unusable(`'${printable(name)}' is not known${meant}`);
}

/** Levenshtein's distance of two short words. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (const [index, letter] of Array.from(from).entries()) {
    const next = [index + 1];
    for (const [at, other] of Array.from(to).entries()) {
      next.push(Math.min((row[at + 1] ?? 0) + 1, (next[at] ?? 0) + 1, (row[at] ?? 0) + (letter === other ? 0 : 1)));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

/** Complete and checked answers; all faults in one error. Errors: SETUP_ANSWERS. */
export function completeAnswers(given: Readonly<Record<string, unknown>>): Answers {
  const parsed = answersModel.safeParse(given);
  if (parsed.success) return parsed.data;
  throw unusable(faultsOf(parsed.error, given).join('; '));
}

const connectionModel = answersModel.pick({ host: true, port: true, fingerprint: true, admin: true });

/** Where TrueNAS is and who logs in, before the other answers are known. Errors: SETUP_ANSWERS. */
export function connectionAnswers(given: Readonly<Record<string, unknown>>): z.output<typeof connectionModel> {
  const { host, port, fingerprint, admin } = given;
  const parsed = connectionModel.safeParse({ host, port, fingerprint, admin });
  if (parsed.success) return parsed.data;
  throw unusable(faultsOf(parsed.error, given).join('; '));
}

/** Checks those answers that are given already, and misses none. Errors: SETUP_ANSWERS. */
export function assertUsable(given: Readonly<Record<string, unknown>>): void {
  const parsed = answersModel.partial().safeParse(given);
  if (!parsed.success) throw unusable(faultsOf(parsed.error, given).join('; '));
}

function faultsOf(error: z.ZodError, given: Readonly<Record<string, unknown>>): readonly string[] {
  return error.issues.map((issue) => {
    const name = issue.path.map(String).join('.');
    const missing = issue.code === 'invalid_type' && given[String(issue.path[0])] === undefined;
    return missing ? `'${name}' is missing` : `'${printable(name)}': ${printable(issue.message)}`;
  });
}

export function unusable(message: string, hints?: readonly string[]): StorageError {
  return new StorageError('SETUP_ANSWERS', message, hints === undefined ? {} : { hints });
}
