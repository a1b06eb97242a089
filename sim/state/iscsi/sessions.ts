import type { ArrayCore } from '../array-core.ts';

/** An item of iscsi.global.sessions (truenas-api 11). */
export interface SessionEntry {
  readonly initiator: string;
  readonly initiator_addr: string;
  readonly initiator_alias: null;
  readonly target: string;
  readonly target_alias: string;
  readonly header_digest: string | null;
  readonly data_digest: string | null;
  readonly max_data_segment_length: number | null;
  readonly max_receive_data_segment_length: number | null;
  readonly max_xmit_data_segment_length: number | null;
  readonly max_burst_length: number | null;
  readonly first_burst_length: number | null;
  readonly immediate_data: boolean;
  readonly iser: boolean;
  readonly offload: boolean;
}

/** Sessions of the targets under the configured basename. */
export async function sessionEntries(core: ArrayCore): Promise<SessionEntry[]> {
  const sessions = await core.luns.sessions();
  return sessions
    .filter((session) => session.target.startsWith(core.iscsi.global.basename))
    .map((session) => ({
      initiator: session.initiator,
      initiator_addr: session.address,
      initiator_alias: null,
      target: session.target,
      target_alias: session.target.slice(session.target.lastIndexOf(':') + 1),
      header_digest: null,
      data_digest: null,
      max_data_segment_length: 1_048_576,
      max_receive_data_segment_length: 1_048_576,
      max_xmit_data_segment_length: 1_048_576,
      max_burst_length: 1_048_576,
      first_burst_length: 65_536,
      immediate_data: true,
      iser: false,
      offload: false,
    }));
}

/** The full target names of the sessions on these targets, one for each session (truenas-api 11: per target, not per LUN). */
export async function activeSessions(core: ArrayCore, targetIds: readonly number[]): Promise<string[]> {
  const names = new Set(
    core.iscsi.targets.filter((target) => targetIds.includes(target.id)).map((target) => core.iscsi.sessionName(target)),
  );
  return (await sessionEntries(core)).filter((session) => names.has(session.target)).map((session) => session.target);
}
