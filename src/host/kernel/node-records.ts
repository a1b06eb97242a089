import { StorageError } from '../../core/errors.ts';
import type { ChapSecrets, PortalAddress } from '../../core/host-port.ts';
import type { Deadline } from '../../core/ports.ts';
import { portalText } from '../addresses.ts';
import type { HostContext } from '../host-context.ts';
import type { SysFiles } from '../sys-files.ts';

/** Debian 13 (open-iscsi 2.1.11) keeps its database here, Debian 12 (2.1.8) below /etc/iscsi: each iscsiadm knows but one of them. */
const DATABASES = ['/var/lib/iscsi', '/etc/iscsi'] as const;

/**
 * Where this node's iscsiadm keeps its node records; the format is `name = value` a line, a file `ADDRESS,PORT` or `ADDRESS,PORT,TPGT/IFACE`.
 * The package of Debian 13 brings the directory of its database; a node upgraded from Debian 12 may have both, and the older one is dead.
 */
export async function recordsDirectory(files: SysFiles): Promise<string> {
  const [current, former] = DATABASES;
  return `${(await files.kind(current)) === 'directory' ? current : former}/nodes`;
}

/**
 * Makes sure that a usable node record for this target and portal exists, without discovery (F-111), and that it carries the CHAP
 * secrets. `portal.host` is an address. To be called under a lock of this record (F-109).
 *
 * An existing record is never created anew: `iscsiadm -o new` would silently reset its CHAP settings and its startup mode (seen with
 * 2.1.8). An empty record, left by a crash, makes `-o new` fail with exit 6 and every list with "No records found" (F-109): it is removed first.
 *
 * CHAP values are written into the record file and not with `-o update -v VALUE`, which would show them in `ps` (law 10).
 */
export async function ensureNodeRecord(
  context: HostContext,
  iqn: string,
  portal: PortalAddress,
  chap: ChapSecrets | undefined,
  deadline: Deadline,
): Promise<void> {
  let records = await usableRecords(context, iqn, portal);
  if (records.length === 0) {
    await context.commands.run(['iscsiadm', '-m', 'node', '-o', 'new', '-T', iqn, '-p', portalText(portal)], { deadline });
    records = await usableRecords(context, iqn, portal);
    if (records.length === 0) {
      const where = await recordsDirectory(context.files);
      throw new StorageError('HOST_COMMAND', `iscsiadm made no node record for ${iqn} at ${portalText(portal)} below ${where}`);
    }
    for (const record of records) await updateRecord(context, record, OURS);
  } else {
    for (const record of records) {
      // Made by us, and the daemon was killed before it could say how: a login would show the node every LUN of the target.
      if (holds((await context.files.read(record)) ?? '', JUST_MADE)) await updateRecord(context, record, OURS);
    }
  }
  if (chap === undefined) return;
  for (const record of records) await updateRecord(context, record, chapSettings(chap));
}

/** Removes all records of this target and portal, so that the next ensureNodeRecord makes a new one. */
export async function dropNodeRecord(context: HostContext, iqn: string, portal: PortalAddress): Promise<void> {
  for (const record of await recordFiles(context, iqn, portal)) await context.files.remove(record);
}

/** What the daemon gives to records that it makes: no login at boot (it does that itself), no scan of all LUNs at login (law 4). */
const OURS = { 'node.startup': 'manual', 'node.session.scan': 'manual' } as const;

/** What `iscsiadm -o new` leaves and nothing else does: a discovery writes its own type, an administrator the startup that he wants. */
const JUST_MADE = { 'node.discovery_type': 'static', 'node.startup': 'manual', 'node.session.scan': 'auto' } as const;

/** All node records of this node: target, portal, and whether they have the settings of the daemon's own. Reads no secret. */
export async function nodeRecords(
  files: SysFiles,
): Promise<readonly { readonly iqn: string; readonly host: string; readonly port: number; readonly likeOurs: boolean }[]> {
  const found: { iqn: string; host: string; port: number; likeOurs: boolean }[] = [];
  const directory = await recordsDirectory(files);
  for (const iqn of await files.list(directory)) {
    for (const name of await files.list(`${directory}/${iqn}`)) {
      const portal = /^(.+?),(\d{1,5})(?:,-?\d+)?$/.exec(name);
      if (portal === null) continue;
      const path = `${directory}/${iqn}/${name}`;
      const inside = await files.list(path);
      const texts = await Promise.all(
        (inside.length === 0 ? [path] : inside.map((iface) => `${path}/${iface}`)).map((one) => files.read(one)),
      );
      const likeOurs = holds(texts.join('\n'), OURS);
      found.push({ iqn, host: portal[1] ?? '', port: Number(portal[2]), likeOurs });
    }
  }
  return found;
}

function holds(record: string, settings: Readonly<Record<string, string>>): boolean {
  const lines = new Set(record.split('\n').map((line) => line.trim()));
  return Object.entries(settings).every(([name, value]) => lines.has(`${name} = ${value}`));
}

function chapSettings(chap: ChapSecrets): Record<string, string> {
  const values = {
    'node.session.auth.authmethod': 'CHAP',
    'node.session.auth.username': chap.user,
    'node.session.auth.password': chap.password,
    ...(chap.peer === undefined
      ? {}
      : { 'node.session.auth.username_in': chap.peer.user, 'node.session.auth.password_in': chap.peer.password }),
  };
  for (const [name, value] of Object.entries(values)) {
    // A line break would add settings of its own to the record; the value itself must not appear in the message.
    if (!/^[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?$/.test(value)) {
      throw new StorageError('CONFIG_INVALID', `the CHAP value for ${name} is empty or has characters that open-iscsi cannot keep`);
    }
  }
  return values;
}

async function recordFiles(context: HostContext, iqn: string, portal: PortalAddress): Promise<readonly string[]> {
  const found: string[] = [];
  const directory = await recordsDirectory(context.files);
  const stem = `${portal.host},${portal.port}`;
  for (const name of await context.files.list(`${directory}/${iqn}`)) {
    const path = `${directory}/${iqn}/${name}`;
    if (name === stem) found.push(path);
    else if (name.startsWith(`${stem},`) && /^-?\d+$/.test(name.slice(stem.length + 1))) {
      for (const iface of await context.files.list(path)) found.push(`${path}/${iface}`);
    }
  }
  return found;
}

async function usableRecords(context: HostContext, iqn: string, portal: PortalAddress): Promise<readonly string[]> {
  const usable: string[] = [];
  for (const path of await recordFiles(context, iqn, portal)) {
    const text = (await context.files.read(path)) ?? '';
    if (/^node\.name = /m.test(text)) usable.push(path);
    else {
      context.log.warn('removing an empty iSCSI node record', { path });
      await context.files.remove(path);
    }
  }
  return usable;
}

async function updateRecord(context: HostContext, path: string, settings: Readonly<Record<string, string>>): Promise<void> {
  const before = (await context.files.read(path)) ?? '';
  const lines = before.split('\n');
  for (const [name, value] of Object.entries(settings)) {
    const line = `${name} = ${value}`;
    const at = lines.findIndex((candidate) => candidate.startsWith(`${name} = `));
    if (at >= 0) lines[at] = line;
    else lines.splice(endOfRecord(lines), 0, line);
  }
  const after = lines.join('\n');
  if (after !== before) await context.files.replace(path, `${after}\n`, 0o600);
}

function endOfRecord(lines: readonly string[]): number {
  const end = lines.findIndex((line) => line.startsWith('# END RECORD'));
  return end < 0 ? lines.length : end;
}
