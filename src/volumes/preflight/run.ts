import { StorageError } from '../../core/errors.ts';
import type { Deadline } from '../../core/ports.ts';
import { assertSnapshotName, parseVolumeName, printable } from '../../core/volume-name.ts';
import type { StorageContext } from '../context.ts';
import { findVolume, type Volume, zvolId } from '../lookup.ts';
import { readSpace, type SpaceReading } from '../space.ts';

export const PREFLIGHT_OPERATIONS = ['allocate', 'clone', 'resize', 'rollback'] as const;
export type PreflightOperation = (typeof PREFLIGHT_OPERATIONS)[number];

/** What is going to be done. Sizes in bytes. */
export type PreflightRequest =
  | { readonly operation: 'allocate'; readonly size: number; readonly vmid?: number; readonly name?: string }
  /** A full clone: a new volume and the data of `volume`; without `size` as large as that. */
  | { readonly operation: 'clone'; readonly volume: string; readonly size?: number }
  /** `size`: of the whole volume afterwards. */
  | { readonly operation: 'resize'; readonly volume: string; readonly size: number }
  | { readonly operation: 'rollback'; readonly volume: string; readonly snapshot: string };

/** A request as it comes from outside, put together. Errors: BAD_REQUEST, NAME_INVALID. */
export function preflightRequest(given: {
  readonly operation: PreflightOperation;
  readonly size?: number | undefined;
  readonly volume?: string | undefined;
  readonly snapshot?: string | undefined;
}): PreflightRequest {
  const { operation, size, volume, snapshot } = given;
  const parsed = volume === undefined ? null : parseVolumeName(volume);
  const lacking = (what: string): StorageError => new StorageError('BAD_REQUEST', `preflight of ${operation} needs ${what}`);
  if (operation === 'allocate') {
    if (size === undefined) throw lacking('a size');
    if (parsed !== null && (parsed.isBase || parsed.base !== null || parsed.legacy !== null)) {
      throw new StorageError('NAME_INVALID', `illegal name '${printable(parsed.volname)}': a new volume is 'vm-<VMID>-<name>'`);
    }
    return { operation, size, ...(parsed === null ? {} : { name: parsed.name, vmid: parsed.vmid }) };
  }
  if (volume === undefined) throw lacking('a volume');
  switch (operation) {
    case 'clone':
      return { operation, volume, ...(size === undefined ? {} : { size }) };
    case 'resize':
      if (size === undefined) throw lacking('a size');
      return { operation, volume, size };
    case 'rollback':
      if (snapshot === undefined) throw lacking('a snapshot');
      assertSnapshotName(snapshot);
      return { operation, volume, snapshot };
  }
}

/** One run of the checks: what several of them need is read once, and only when one of them needs it. */
export class PreflightRun {
  readonly context: StorageContext;
  readonly request: PreflightRequest;
  readonly deadline: Deadline;
  /** Read everything now instead of believing the inventory. */
  readonly fresh: boolean;
  readonly #reads = new Map<string, Promise<unknown>>();

  constructor(context: StorageContext, request: PreflightRequest, deadline: Deadline, fresh: boolean) {
    this.context = context;
    this.request = request;
    this.deadline = deadline;
    this.fresh = fresh;
  }

  /** The dataset and its parents, read now. Errors: DATASET_MISSING. */
  readSpace(): Promise<SpaceReading> {
    return this.#once('space', () => readSpace(this.context, this.deadline));
  }

  /** The volume that the request names; null where it names none. Errors: VOLUME_MISSING, VOLUME_FOREIGN. */
  volume(): Promise<Volume | null> {
    const { request } = this;
    if (request.operation === 'allocate') return Promise.resolve(null);
    return this.#once('volume', async () => {
      const { name } = parseVolumeName(request.volume);
      const zvols = this.context.inventory.zvolCollection(this.context.config.dataset);
      if (this.fresh) await zvols.refresh(zvolId(this.context, name), this.deadline);
      return findVolume(this.context, request.volume, this.deadline);
    });
  }

  /** Waits until targets and portals are known, in a fresh run as they are now. */
  async targets(): Promise<void> {
    const both = [this.context.inventory.targets, this.context.inventory.portals] as const;
    await this.#once('targets', () => Promise.all(both.map((one) => (this.fresh ? one.reload(this.deadline) : one.all(this.deadline)))));
  }

  #once<T>(key: string, read: () => Promise<T>): Promise<T> {
    const known = this.#reads.get(key) as Promise<T> | undefined;
    if (known !== undefined) return known;
    const reading = read();
    this.#reads.set(key, reading);
    return reading;
  }
}
