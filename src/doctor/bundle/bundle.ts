import { withDeadline } from '../../core/deadline.ts';
import type { DoctorReport } from '../doctor.ts';
import type { DoctorPorts } from '../ports.ts';
import { collectPieces, type Piece } from './collect.ts';
import { knownSecrets } from './known-secrets.ts';
import { Redactor } from './redact.ts';
import { tarGz } from './tar.ts';

/** ms */
const SECRETS_MS = 10_000;

export interface SupportArchive {
  readonly data: Buffer;
  /** Names of its files. */
  readonly files: readonly string[];
  /** Places from which something was removed. */
  readonly removed: number;
}

/**
 * A support archive: the report (as `shown` to people, and as JSON), the settings, what the daemon knows, and logs; without secrets. Errors: the secrets of this node could not
 * be read in time, without which nothing may be written.
 */
export async function supportArchive(ports: DoctorPorts, report: DoctorReport, shown: string, stop: AbortSignal): Promise<SupportArchive> {
  const secrets = await withDeadline(
    ports.clock,
    SECRETS_MS,
    'reading which secrets to remove',
    (deadline) => knownSecrets(ports, deadline),
    stop,
  );
  const pieces = [{ name: 'doctor.txt', text: shown }, ...(await collectPieces(ports, report, stop))];
  const redactor = new Redactor(secrets);
  const cleaned = pieces.map(({ name, text }): Piece => ({ name, text: redactor.clean(text) }));
  const readme = { name: 'README.txt', text: introduction(report, cleaned, redactor.removed) };
  const seconds = Math.floor(ports.clock.now() / 1000);
  const entries = [readme, ...cleaned].map(({ name, text }) => ({ name: `pve-truenas-doctor/${name}`, text }));
  return { data: tarGz(entries, seconds), files: entries.map(({ name }) => name), removed: redactor.removed };
}

function introduction({ node, version }: DoctorReport, pieces: readonly Piece[], removed: number): string {
  return [
    `Support archive of pve-truenas ${version} on node ${node}.`,
    '',
    'Secrets are removed and stand as <removed>: API keys, CHAP secrets, passwords, tokens, private keys and what looks like one,',
    `${removed} places in all. Names of storages, guests' disks, hosts and addresses are in it: look through it before you hand it on.`,
    '',
    ...pieces.map(({ name, text }) => `${String(text.length).padStart(9)}  ${name}`),
    '',
  ].join('\n');
}
