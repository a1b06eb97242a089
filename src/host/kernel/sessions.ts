import { canonicalAddress } from '../addresses.ts';
import type { SysFiles } from '../sys-files.ts';

/** One iSCSI session of this node as the kernel shows it. */
export interface Session {
  /** session number of sysfs */
  readonly id: number;
  /** SCSI host number: with the tcp transport every session has its own */
  readonly host: number;
  /** SCSI target id below that host, for the scan */
  readonly targetId: number;
  readonly iqn: string;
  /** `LOGGED_IN`, `FAILED`, `FREE` */
  readonly state: string;
  /** `address:port` spellings under which its connections are known: where they go and what the record says. Canonical. */
  readonly portals: readonly string[];
}

const SESSIONS = '/sys/class/iscsi_session';
const CONNECTIONS = '/sys/class/iscsi_connection';

/**
 * All iSCSI sessions, out of sysfs, field by field: the texts of `iscsiadm -m session` were matched by substring once, so that target
 * `a` counted as logged in because `a-16k` was (F-101). What vanishes while we read is left out.
 */
export async function readSessions(files: SysFiles): Promise<readonly Session[]> {
  const connections = await files.list(CONNECTIONS);
  const sessions: Session[] = [];
  for (const name of await files.list(SESSIONS)) {
    const id = numberOf(/^session(\d+)$/.exec(name)?.[1]);
    const location = await files.readLink(`${SESSIONS}/${name}`);
    const host = numberOf(/\/host(\d+)\/session\d+\//.exec(location ?? '')?.[1]);
    const iqn = await files.read(`${SESSIONS}/${name}/targetname`);
    if (id === null || host === null || iqn === null) continue;
    const portals = new Set<string>();
    for (const connection of connections) {
      if (numberOf(/^connection(\d+):\d+$/.exec(connection)?.[1]) !== id) continue;
      for (const [address, port] of [
        ['address', 'port'],
        ['persistent_address', 'persistent_port'],
      ] as const) {
        const ip = await files.read(`${CONNECTIONS}/${connection}/${address}`);
        const number = await files.read(`${CONNECTIONS}/${connection}/${port}`);
        if (ip !== null && ip !== '' && number !== null && number !== '') portals.add(`${canonicalAddress(ip)}:${number}`);
      }
    }
    sessions.push({
      id,
      host,
      targetId: numberOf(await files.read(`${SESSIONS}/${name}/target_id`)) ?? 0,
      iqn,
      state: (await files.read(`${SESSIONS}/${name}/state`)) ?? '',
      portals: [...portals],
    });
  }
  return sessions;
}

/** The session to exactly this target behind exactly one of these addresses: another array may have the same target name (F-102). */
export function sessionTo(sessions: readonly Session[], iqn: string, addresses: readonly string[], port: number): Session | undefined {
  const wanted = addresses.map((address) => `${address}:${port}`);
  return sessions.find((session) => session.iqn === iqn && session.portals.some((portal) => wanted.includes(portal)));
}

function numberOf(text: string | null | undefined): number | null {
  return text !== null && text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;
}
