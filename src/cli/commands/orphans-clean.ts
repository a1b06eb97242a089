import * as z from 'zod';
import type { Result } from '../../protocol/methods.ts';
import { CliFailure, failureFacts } from '../failure.ts';
import { askDaemon } from '../socket-client.ts';
import type { CommandContext } from './context.ts';

type Report = Result<'overview.orphans'>;
export type OrphanRow = Report['node']['orphans'][number];

/** What became of one orphan of the plan. */
export const cleaned = z.object({
  /** null: of the node */
  storage: z.string().nullable(),
  id: z.string(),
  /** `skipped`: the clean-up was stopped before it */
  outcome: z.enum(['deleted', 'gone', 'kept', 'failed', 'skipped']),
  message: z.string(),
  /** enough to make again what was deleted */
  was: z.record(z.string(), z.unknown()),
  error: failureFacts.optional(),
});
export type Cleaned = z.infer<typeof cleaned>;

export interface Planned {
  readonly storage: string | null;
  readonly orphan: OrphanRow;
}

/** ms one deletion may take: a zvol may be busy for a while, and TrueNAS reloads its services. */
const DELETE_MS = 120_000;

/** What a clean-up deletes: certain ones, with data only when that was asked for. Zvols last, so that nothing exports them any more. */
export function planOf(report: Report, includeVolumes: boolean): readonly Planned[] {
  const all: Planned[] = [
    ...report.storages.flatMap(({ id, orphans }) => orphans.map((orphan) => ({ storage: id, orphan }))),
    ...report.node.orphans.map((orphan) => ({ storage: null, orphan })),
  ];
  const certain = all.filter(({ orphan }) => orphan.certainty === 'certain');
  return [...certain.filter(({ orphan }) => !orphan.data), ...certain.filter(({ orphan }) => orphan.data && includeVolumes)];
}

/**
 * Deletes one after the other; a failure of one does not keep the others. Ctrl-C ends it after the deletion under way; so does a daemon that
 * cannot be asked any more.
 */
export async function cleanAll(
  plan: readonly Planned[],
  includeVolumes: boolean,
  { io, daemon }: CommandContext,
  tell: (one: Cleaned) => void,
): Promise<readonly Cleaned[]> {
  const done: Cleaned[] = [];
  const stop = { why: '' };
  const release = io.onInterrupt?.(() => {
    stop.why = 'interrupted';
    io.err('stopping after the deletion under way\n');
  });
  try {
    for (const [index, { storage, orphan }] of plan.entries()) {
      const base = { storage, id: orphan.id };
      if (stop.why !== '') {
        done.push({ ...base, outcome: 'skipped', message: `${orphan.name}: ${stop.why}`, was: {} });
        continue;
      }
      io.progress?.(`${index + 1} of ${plan.length}: ${orphan.name}`);
      const one = await deleteOne(base, orphan, includeVolumes, { ...daemon, timeoutMs: Math.max(daemon.timeoutMs, DELETE_MS) });
      io.progress?.(null);
      if (one.error?.code === 'DAEMON_UNREACHABLE') stop.why = 'the daemon cannot be asked';
      done.push(one);
      tell(one);
    }
  } finally {
    release?.();
  }
  return done;
}

async function deleteOne(
  base: { readonly storage: string | null; readonly id: string },
  orphan: OrphanRow,
  includeVolumes: boolean,
  daemon: CommandContext['daemon'],
): Promise<Cleaned> {
  try {
    const answer = await askDaemon(daemon, 'orphan.delete', {
      ...(base.storage === null ? {} : { storage_id: base.storage }),
      orphan_id: base.id,
      include_volumes: includeVolumes,
    });
    return { ...base, ...answer };
  } catch (error) {
    if (!(error instanceof CliFailure)) throw error;
    const { facts } = error;
    return {
      ...base,
      outcome: 'failed',
      message: `${orphan.name}: ${facts.message}`,
      was: {},
      error: facts,
    };
  }
}
