import type { DatasetInfo } from '../../core/array-port.ts';
import { formatBytes } from '../../core/sizes.ts';
import type { InspectContext } from './inspect-context.ts';
import { type Check, ok, warning, critical } from './check.ts';

/** Shares of the dataset that are in use: from these on it is a warning, and as good as full. */
export const LOW_SPACE = { warning: 0.9, critical: 0.99 } as const;
/** Over-commitment worries where little is left to grow into, and always from twice the dataset on. */
const OVER_COMMITTED = { ratio: 1, usedShare: 0.75, always: 2 } as const;

export interface OverCommitment {
  /** bytes: sum of the sizes of all volumes in the dataset */
  readonly promised: number;
  /** bytes: what the dataset could hold, used plus available */
  readonly capacity: number;
  /** promised / capacity; above 1 not all volumes can be filled */
  readonly ratio: number;
}

/** How much the volumes of a dataset could grow to; null for a dataset that can hold nothing. The volumes must be loaded. */
export function overCommitment(context: InspectContext, info: DatasetInfo): OverCommitment | null {
  const capacity = info.used + info.available;
  if (capacity <= 0) return null;
  let promised = 0;
  for (const zvol of context.inventory.zvols(info.id).values()) promised += zvol.volsize;
  return { promised, capacity, ratio: promised / capacity };
}

/** Free space and over-commitment of the storage's dataset. */
export function judgeSpace(context: InspectContext, info: DatasetInfo): readonly Check[] {
  const capacity = info.used + info.available;
  const share = capacity === 0 ? 1 : info.used / capacity;
  return [judgeFree(info, capacity, share), judgePromises(overCommitment(context, info), share)];
}

function judgeFree(info: DatasetInfo, capacity: number, share: number): Check {
  const message = `${formatBytes(info.available)} of ${formatBytes(capacity)} available on ${info.id} (${percent(share)} used)`;
  const cure = { cure: 'free space, or enlarge the pool or the quota: TrueNAS: Datasets > Dataset Space Management' };
  if (share >= LOW_SPACE.critical) return critical('space', message, cure);
  return share >= LOW_SPACE.warning ? warning('space', message, cure) : ok('space', message);
}

function judgePromises(over: OverCommitment | null, usedShare: number): Check {
  const name = 'over-commitment';
  if (over === null) return ok(name, 'the dataset can hold nothing');
  const message = `the volumes may grow to ${formatBytes(over.promised)}, ${percent(over.ratio)} of what the dataset can hold`;
  const worries = over.ratio > OVER_COMMITTED.always || (over.ratio > OVER_COMMITTED.ratio && usedShare > OVER_COMMITTED.usedShare);
  if (!worries) return ok(name, message);
  return warning(name, message, { cure: 'enlarge the pool before guests fill their disks, or move volumes to another storage' });
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
