import { createHash } from 'node:crypto';
import type { OpenOperation } from '../../../core/journal-port.ts';
import type { Extent, Mapping, Zvol } from '../../../core/array-port.ts';
import type { FakeArray } from '../../testing/fake-array.ts';
import { extentComment, extentName, OWNER_PROPERTY, STORAGE_PROPERTY } from '../../owner-mark.ts';
import type { MemoryGuests } from './memory-guests.ts';

/** A storage whose dataset things are planted in. */
export interface Bed {
  readonly storage: string;
  readonly dataset: string;
  readonly target: number;
}

/** ms since the epoch: now in tests with a manual clock */
export const NOW = 1_700_000_000_000;
export const DAY = 86_400;
const OLD = NOW / 1000 - 3 * DAY;
export const SUBSYSTEM = 'nqn.2011-06.com.truenas:pve';

/** Puts volumes, orphans and look-alikes on an array in memory, each under a number of its own so that none meets another. */
export class Planter {
  readonly array: FakeArray;
  readonly guests: MemoryGuests;
  readonly open: OpenOperation[] = [];

  constructor(array: FakeArray, guests: MemoryGuests) {
    this.array = array;
    this.guests = guests;
  }

  /** A UUID that belongs to this number alone. */
  owner(number: number): string {
    const hex = createHash('sha1').update(String(number)).digest('hex');
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
  }

  name(number: number, prefix = 'vm'): string {
    return `${prefix}-${100 + number}-disk-0`;
  }

  /** A zvol with our mark, three days old and empty unless said otherwise. */
  zvol(bed: Bed, number: number, more: Partial<Zvol> = {}, name = this.name(number)): Zvol {
    return this.array.putZvol(`${bed.dataset}/${name}`, {
      creation: OLD,
      written: 57_344,
      userProperties: { [OWNER_PROPERTY]: this.owner(number), [STORAGE_PROPERTY]: bed.storage },
      ...more,
    });
  }

  /** An extent of ours on a zvol that may not be there. */
  extent(bed: Bed, number: number, name = this.name(number)): Extent {
    const extent = {
      ...this.array.putExtent(extentName(this.owner(number)), `${bed.dataset}/${name}`),
      comment: extentComment(`${bed.dataset}/${name}`),
    };
    this.array.extentsById.set(extent.id, extent);
    return extent;
  }

  mapping(bed: Bed, extent: Extent, number: number): Mapping {
    return this.array.putMapping(bed.target, extent.id, number + 1);
  }

  /** A whole volume: zvol, extent, LUN. */
  volume(bed: Bed, number: number, more: Partial<Zvol> = {}): Zvol {
    const zvol = this.zvol(bed, number, more);
    this.mapping(bed, this.extent(bed, number), number);
    return zvol;
  }

  namespace(disk: string, number: number, nqn: string): number {
    const id = 5000 + number;
    this.array.namespacesById.set(id, {
      id,
      nsid: number + 1,
      subsystem: { id: 1, name: 'pve', nqn },
      disk: `zvol/${disk}`,
      uuid: this.owner(number),
      enabled: true,
    });
    return id;
  }

  operation(bed: Bed, zvol: string, number: number): void {
    this.open.push({ id: this.owner(number), kind: 'allocate', begun: NOW, node: 'pve1', storage: bed.storage, section: {}, zvol });
  }
}
