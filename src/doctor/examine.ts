import { withDeadline } from '../core/deadline.ts';
import { StorageError } from '../core/errors.ts';
import type { Clock, Deadline } from '../core/ports.ts';
import { within } from '../host/waiting.ts';
import { error, type Finding } from './finding.ts';

/** A piece of the examination, with a time of its own. */
export interface Examination {
  /** A storage id, or null: this node. */
  readonly subject: string | null;
  /** What it is called when it does not come to an end. */
  readonly name: string;
  /** ms */
  readonly ms: number;
  readonly run: (deadline: Deadline) => Promise<readonly Finding[]>;
}

interface Examined {
  readonly subject: string | null;
  readonly findings: readonly Finding[];
}

/** Told after each examination: how many are done, and the names of those that are still under way. */
type Progress = (done: number, all: number, waitingFor: readonly string[]) => void;

/**
 * Runs all at once, each within its own time: one that hangs or fails is a finding and hides no other. The order of the answer is
 * that of the question. Never rejects, and never waits longer than the longest of the times.
 */
export async function examineAll(
  examinations: readonly Examination[],
  clock: Clock,
  stop: AbortSignal,
  progress: Progress,
): Promise<readonly Examined[]> {
  const open = new Set(examinations);
  return Promise.all(
    examinations.map(async (examination) => {
      const findings = await findingsOf(examination, clock, stop);
      open.delete(examination);
      progress(examinations.length - open.size, examinations.length, [...open].map(titleOf));
      return { subject: examination.subject, findings };
    }),
  );
}

function titleOf({ subject, name }: Examination): string {
  return subject === null ? name : `${name} of ${subject}`;
}

async function findingsOf({ name, ms, run }: Examination, clock: Clock, stop: AbortSignal): Promise<readonly Finding[]> {
  try {
    // `within` for work that does not listen to its signal
    return await withDeadline(clock, ms, `looking at ${name}`, (deadline) => within(run(deadline), deadline), stop);
  } catch (thrown) {
    if (thrown instanceof StorageError && thrown.code === 'DEADLINE')
      return [error(name, thrown.message, 'something hangs: the other checks may show what')];
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return [error(name, `could not be looked at: ${message}`, 'see the other checks')];
  }
}
