import type { DatasetInfo } from '../core/array-port.ts';
import { StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { formatSize, MIB } from '../core/sizes.ts';
import type { StorageContext } from './context.ts';

/** TrueNAS refuses a volume above this share of the available space, thin or thick (truenas-api 9.1, 9.2). */
const ARRAY_SHARE = 0.8;
/** ms: older numbers are believed only where the request clearly fits. */
const FRESH_MS = 5_000;
/** What takes at most this share of the available space clearly fits: space does not halve between two periodic reads. */
const CLEAR_SHARE = 0.5;
/** A quota limits when it leaves no more than what is available; both were read at once, ZFS's own rounding aside. */
const QUOTA_TOLERANCE = 16 * MIB;

/** What an operation needs of the dataset. All in bytes. */
export interface SpaceNeed {
  /** Size of a new volume, or what an existing one grows by. */
  readonly requested: number;
  /** Size of the whole volume afterwards: what TrueNAS's own rule is about. */
  readonly size: number;
  /** What the volume uses already; TrueNAS's rule counts it as available. 0 for a new one. */
  readonly own: number;
  /** Its space must be there at once. */
  readonly thick: boolean;
}

/** The dataset with those above it whose quotas may be what limits it; `above` is empty where only the dataset was read. */
export interface SpaceReading {
  readonly info: DatasetInfo;
  readonly above: readonly DatasetInfo[];
}

export interface SpaceVerdict {
  readonly fits: boolean;
  /** Fits so well that numbers of a minute ago are good enough. */
  readonly clear: boolean;
  /** bytes: `requested` with the overhead */
  readonly withOverhead: number;
  /** bytes: the largest volume that TrueNAS's rule allows; null where it is lifted or kept */
  readonly limit: number | null;
  /** bytes that must be available for the request to be let through */
  readonly must: number;
}

/** Space for a new volume of `size` bytes; PVE's full clones and the state of a VM are new volumes, too. */
export function needOfNew(context: StorageContext, size: number): SpaceNeed {
  return { requested: size, size, own: 0, thick: !context.config.sparse };
}

/**
 * Space for an existing volume to grow to `size` bytes. The array does not tell whether a volume is thick: it is taken for
 * that where new ones are thick and it uses at least its size, so that a thin one is never refused for its overhead (F-370).
 */
export function needOfGrowth(context: StorageContext, zvol: { readonly volsize: number; readonly used: number }, size: number): SpaceNeed {
  return {
    requested: Math.max(0, size - zvol.volsize),
    size,
    own: zvol.used,
    thick: !context.config.sparse && zvol.used >= zvol.volsize,
  };
}

/**
 * Judges a request by TrueNAS's rules: no volume above 80 % of the available space unless `truenas-force-size` is set; a
 * thick one also needs its size with the overhead. A thin one is held to nothing else (F-370).
 */
export function weighSpace(context: StorageContext, need: SpaceNeed, available: number): SpaceVerdict {
  const { spaceOverheadPercent, forceSize } = context.config;
  const withOverhead = need.requested + Math.ceil((need.requested * spaceOverheadPercent) / 100);
  if (need.requested === 0) return { fits: true, clear: true, withOverhead, limit: null, must: 0 };
  const most = (available + need.own) * ARRAY_SHARE;
  const forbidden = !forceSize && need.size > most;
  const mustForRule = forceSize ? 0 : Math.max(0, Math.ceil(need.size / ARRAY_SHARE) - need.own);
  const mustForThick = need.thick ? withOverhead : 0;
  const must = Math.max(mustForRule, mustForThick);
  return {
    fits: !forbidden && mustForThick <= available,
    clear: must <= available * CLEAR_SHARE,
    withOverhead,
    limit: forbidden ? Math.floor(most) : null,
    must,
  };
}

/** True when numbers of this age (ms) may decide on what fits by this verdict; a refusal needs new ones in any case. */
export function isTrusted(verdict: SpaceVerdict, age: number): boolean {
  return verdict.fits && (verdict.clear || age <= FRESH_MS);
}

/** Reads the dataset and those above it, in one call. Errors: DATASET_MISSING. */
export async function readSpace(context: StorageContext, deadline: Deadline): Promise<SpaceReading> {
  const { array, config, inventory } = context;
  const rows = await array.datasets([config.dataset, ...parentsOf(config.dataset)], deadline);
  const info = rows.find((row) => row.id === config.dataset);
  if (info === undefined) {
    throw new StorageError('DATASET_MISSING', `dataset '${config.dataset}' (setting dataset) does not exist on ${config.apiHost}`, {
      state: 'nothing was changed',
    });
  }
  inventory.putDataset(info);
  return { info, above: rows.filter((row) => row !== info) };
}

/** Nearest first. */
function parentsOf(dataset: string): readonly string[] {
  const parts = dataset.split('/');
  return parts.slice(1).map((_part, index) => parts.slice(0, parts.length - 1 - index).join('/'));
}

/** The refusal of a request that does not fit, in the form that users know. `words`: what TrueNAS itself said, where it did. */
export function insufficientSpace(
  context: StorageContext,
  need: SpaceNeed,
  reading: SpaceReading,
  refusal: StorageError | null = null,
): StorageError {
  const { config } = context;
  const { info } = reading;
  const verdict = weighSpace(context, need, info.available);
  const quota = limitingQuota(reading);
  const lines = [
    `Insufficient space on dataset '${info.id}':`,
    `  Requested: ${formatSize(need.requested)}${overheadText(config.spaceOverheadPercent, verdict.withOverhead)}`,
    `  Available: ${formatSize(info.available)}`,
    `  Shortfall: ${shortfallText(verdict, info.available)}`,
  ];
  if (verdict.limit !== null) lines.push(`  Limit: ${limitText(need, verdict.limit)}`);
  if (quota !== null) lines.push(`  Quota: ${formatSize(quota.limit)} on '${quota.dataset}' (${formatSize(quota.used)} used)`);
  if (refusal !== null) lines.push(`  TrueNAS: ${refusal.message}`);
  return new StorageError('NO_SPACE', lines.join('\n'), {
    causes: causesOf(info, quota !== null, verdict),
    hints: hintsOf(context, need, info, verdict),
    state: 'nothing was changed',
    facts: {
      dataset: info.id,
      requested: need.requested,
      with_overhead: verdict.withOverhead,
      available: info.available,
      limit: verdict.limit,
      quota: quota?.limit ?? null,
      thick: need.thick,
    },
    ...(refusal === null ? {} : { cause: refusal }),
  });
}

/**
 * TrueNAS refused for lack of space what the numbers before it allowed: somebody else took the space meanwhile. The same
 * form with numbers read now; the refusal as it came where they cannot be read.
 */
export async function explainNoSpace(
  context: StorageContext,
  need: SpaceNeed,
  refusal: StorageError,
  deadline: Deadline,
): Promise<StorageError> {
  try {
    return insufficientSpace(context, need, await readSpace(context, deadline), refusal);
  } catch {
    return refusal;
  }
}

function overheadText(percent: number, withOverhead: number): string {
  return percent === 0 ? '' : ` (with ${percent}% ZFS overhead: ${formatSize(withOverhead)})`;
}

/** What is missing by the line above; where only TrueNAS's rule forbids it, what would have to be free for that. */
function shortfallText(verdict: SpaceVerdict, available: number): string {
  const missing = verdict.withOverhead > available ? verdict.withOverhead - available : verdict.must - available;
  return missing > 0 ? formatSize(missing) : 'none by these numbers, which were read after TrueNAS refused';
}

function limitText(need: SpaceNeed, limit: number): string {
  const lifts = 'truenas-force-size 1 lifts this';
  if (need.own === 0) return `${formatSize(limit)} (TrueNAS lets one volume take at most 80% of the available space; ${lifts})`;
  const what = 'TrueNAS lets one volume take at most 80% of the available space and its own together';
  return `${formatSize(limit)} for the whole volume of ${formatSize(need.size)} (${what}; ${lifts})`;
}

/** The quota that leaves the least, when it is what `available` comes from; ZFS tells no reason (zfsprops(7)). */
function limitingQuota(reading: SpaceReading): { readonly dataset: string; readonly limit: number; readonly used: number } | null {
  let found: { dataset: string; limit: number; used: number; room: number } | null = null;
  for (const { id, quota, used } of [reading.info, ...reading.above]) {
    if (quota === null) continue;
    const room = Math.max(0, quota - used);
    if (room <= reading.info.available + QUOTA_TOLERANCE && (found === null || room < found.room)) {
      found = { dataset: id, limit: quota, used, room };
    }
  }
  return found;
}

function causesOf(info: DatasetInfo, byQuota: boolean, verdict: SpaceVerdict): readonly string[] {
  if (verdict.fits) {
    return [
      'another volume, a snapshot or a replication took the space for a moment',
      'the pool keeps space back that these numbers do not show',
    ];
  }
  const rule = verdict.limit !== null && verdict.withOverhead <= info.available;
  return [
    ...(rule ? ['the volume is larger than the share of the free space that TrueNAS gives to one volume'] : []),
    byQuota ? 'the quota leaves no more' : `the pool '${info.id.split('/', 1)[0] ?? ''}' has no more free space`,
    'snapshots, reservations and thick volumes hold space that no file shows',
  ];
}

function hintsOf(context: StorageContext, need: SpaceNeed, info: DatasetInfo, verdict: SpaceVerdict): readonly string[] {
  const { config } = context;
  const lacking = Math.max(verdict.must, verdict.withOverhead) - info.available;
  const hints = [`TrueNAS: Datasets > ${info.id} > Dataset Space Management: what takes the space, quota and reservations`];
  if (lacking > 0) hints.unshift(`free ${formatSize(lacking)} on '${info.id}', or enlarge its pool or quota`);
  const fitsForced = !need.thick || verdict.withOverhead <= info.available;
  if (verdict.limit !== null && fitsForced) hints.push(`to lift TrueNAS's rule: pvesm set ${config.id} --truenas-force-size 1`);
  const overheadAlone = verdict.limit === null && need.thick && need.requested <= info.available;
  if (overheadAlone) hints.push(`to ask for less overhead: pvesm set ${config.id} --truenas-space-overhead PERCENT`);
  hints.push(`pve-truenas list ${config.id}: volumes and what they use`);
  return hints;
}
