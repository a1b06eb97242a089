import { type Finding, error, skipped } from './finding.ts';
import type { DoctorPorts } from './ports.ts';

/** What the system says when only root may look. */
const FORBIDDEN = /permission denied|operation not permitted|EACCES|EPERM|must be root|need to be root|not running as root/i;
const NOT_INSTALLED = /is not installed/;

export const AS_ROOT = 'run pve-truenas doctor as root';

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** A look that failed: skipped where only root may look or the program for it is missing, else an error. */
export function notSeen(name: string, thrown: unknown, ports: Pick<DoctorPorts, 'isRoot'>, cure: string): Finding {
  const message = messageOf(thrown);
  if (NOT_INSTALLED.test(message)) return skipped(name, message);
  if (!ports.isRoot && FORBIDDEN.test(message)) return skipped(name, `only root may see it: ${message}`, AS_ROOT);
  return error(name, `could not be looked at: ${message}`, cure);
}
