import { StorageError } from '../../core/errors.ts';
import type { LunSpec } from '../../core/host-port.ts';
import type { Deadline } from '../../core/ports.ts';
import { throwIfCancelled, waitFor } from '../waiting.ts';
import { naaDigits } from '../volume-ref.ts';
import { lastingHolders } from './holders.ts';
import type { HostContext } from '../host-context.ts';
import {
  blockSize,
  deleteScsiDevice,
  freshNaa,
  lunAddresses,
  rescanScsiDevice,
  scanLun,
  type ScsiDisk,
  scsiPathAt,
} from './scsi-devices.ts';
import type { Session } from './sessions.ts';

/** Pauses (ms) between two scans for one LUN: at once, then slower; a device may need 30 s (F-105, F-106). */
const SCAN_PAUSES_MS = [0, 500, 1000, 2000, 4000];
/** A device that does not answer an INQUIRY for this long (ms) is a leftover of an unmapped LUN (RP-12). */
const SILENT_MS = 3000;
/** So often a device of another identity is removed before the LUN itself is believed to be another one. */
const MAX_REMOVALS = 2;
/** How long (ms) the kernel may take to show a new size after a rescan. */
const SIZE_MS = 10_000;

/**
 * The disk of one LUN behind one session, verified: its INQUIRY gives the NAA now, and the kernel's own idea of it is the
 * same (law 1, RP-13). A device of another identity at that number is removed and looked for again, unless somebody has it open.
 * Errors: DEVICE_MISSING, DEVICE_IDENTITY.
 */
export async function verifiedPath(context: HostContext, session: Session, spec: LunSpec, deadline: Deadline): Promise<ScsiDisk> {
  return new PathSearch(context, session, spec, deadline).run();
}

/** Whether an entry of /dev is a whole SCSI disk: each LUN brings nodes of other kinds (sg, bsg) as well. */
const isDisk = (entry: string): boolean => /^sd[a-z]+$/.test(entry);

class PathSearch {
  readonly #context: HostContext;
  readonly #spec: LunSpec;
  readonly #deadline: Deadline;
  readonly #addresses: readonly string[];
  readonly #naa: string;
  #scans = 0;
  #nextScan = Number.NEGATIVE_INFINITY;
  #removals = 0;
  #silentSince: number | null = null;

  constructor(context: HostContext, session: Session, spec: LunSpec, deadline: Deadline) {
    this.#context = context;
    this.#spec = spec;
    this.#deadline = deadline;
    this.#addresses = lunAddresses(session, spec.lun);
    this.#naa = naaDigits(spec.naa);
  }

  async run(): Promise<ScsiDisk> {
    const found = await this.#untilItsEnd();
    if (found !== undefined) return found;
    throwIfCancelled(this.#deadline);
    const spec = this.#spec;
    throw new StorageError('DEVICE_MISSING', `no device for LUN ${spec.lun} of ${spec.iqn} appeared at ${this.#addresses.join(' or ')}`, {
      facts: { addresses: this.#addresses, scans: this.#scans, naa: spec.naa },
    });
  }

  /** Undefined when the time is over, be it between two looks or in the middle of a scan: chance must not decide what is told. */
  async #untilItsEnd(): Promise<ScsiDisk | undefined> {
    const { signal } = this.#deadline;
    try {
      return await waitFor({ ...this.#context, deadline: this.#deadline, watch: ['/dev'], entries: isDisk }, () => this.#look());
    } catch (error) {
      if (signal.aborted && error === signal.reason) return undefined;
      throw error;
    }
  }

  /** One look; undefined: not yet. */
  async #look(): Promise<ScsiDisk | undefined> {
    for (const address of this.#addresses) {
      const path = await scsiPathAt(this.#context.files, address);
      if (path === null) continue;
      const node = path.block === null ? null : `/dev/${path.block}`;
      if (path.block === null || node === null || (await this.#context.files.kind(node)) !== 'block') return undefined;
      const fresh = await freshNaa(this.#context, path.block, this.#deadline);
      if (fresh === this.#naa && path.cachedNaa === this.#naa) return { address, block: path.block };
      if (fresh === null && !this.#silentTooLong()) return undefined;
      await this.#removeStale(address, path.block, fresh, path.cachedNaa);
      this.#nextScan = Number.NEGATIVE_INFINITY;
    }
    await this.#scanWhenDue();
    return undefined;
  }

  #silentTooLong(): boolean {
    const now = this.#context.clock.monotonic();
    this.#silentSince ??= now;
    return now - this.#silentSince >= SILENT_MS;
  }

  /** RP-13: the kernel would go on using the old device for the new LUN, with the old size and the old names. */
  async #removeStale(address: string, block: string, fresh: string | null, cached: string | null): Promise<void> {
    const facts = { address, block, wanted: this.#naa, device: fresh, cached };
    const text = `LUN ${this.#spec.lun} of ${this.#spec.iqn} is not ${this.#spec.volume}`;
    if (this.#removals >= MAX_REMOVALS) {
      throw new StorageError('DEVICE_IDENTITY', `${text}: /dev/${block} says it is ${fresh ?? 'nothing'}, TrueNAS says ${this.#naa}`, {
        facts,
      });
    }
    const holders = await lastingHolders(this.#context, [block], [], this.#deadline);
    if (holders.length > 0) {
      throw new StorageError(
        'DEVICE_IDENTITY',
        `${text}: an older device /dev/${block} stands at its number and is held by ${holders.join(', ')}`,
        {
          facts: { ...facts, holders },
        },
      );
    }
    this.#context.log.warn('a device of another identity stands at the LUN number of a volume', { ...facts, volume: this.#spec.volume });
    this.#removals += 1;
    this.#silentSince = null;
    await deleteScsiDevice(this.#context, address, this.#deadline);
  }

  async #scanWhenDue(): Promise<void> {
    const { clock } = this.#context;
    if (clock.monotonic() < this.#nextScan) return;
    // The plain number first; the flat spelling only when the plain one brought nothing.
    const address = this.#addresses[this.#scans % this.#addresses.length];
    if (address === undefined) return;
    this.#scans += 1;
    await scanLun(this.#context, address, this.#deadline);
    const pause = SCAN_PAUSES_MS[Math.min(this.#scans, SCAN_PAUSES_MS.length - 1)] ?? 0;
    this.#nextScan = clock.monotonic() + pause;
  }
}

/**
 * Waits until the kernel shows exactly (or, with `atLeast`, no less than) `size` bytes for a verified path, asking it to read the
 * capacity again where it differs (RP-11). Answers the size seen last, null when the device is gone.
 */
export async function settledSize(
  context: HostContext,
  target: ScsiDisk,
  size: number,
  atLeast: boolean,
  deadline: Deadline,
): Promise<number | null> {
  let seen: number | null = null;
  await waitFor({ ...context, deadline, atMostMs: SIZE_MS }, async () => {
    seen = await blockSize(context.files, target.block);
    if (seen === size || (atLeast && seen !== null && seen > size)) return true;
    await rescanScsiDevice(context, target.address, deadline);
    seen = await blockSize(context.files, target.block);
    return seen === size || (atLeast && seen !== null && seen > size) ? true : undefined;
  });
  return seen;
}
