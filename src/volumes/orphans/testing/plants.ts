import { createHash } from 'node:crypto';
import { OWNER_PROPERTY, perlExtentName, STORAGE_PROPERTY } from '../../owner-mark.ts';
import { backupCloneName } from '../naming.ts';
import type { OrphanKind } from '../orphan.ts';
import { type Bed, DAY, NOW, type Planter, SUBSYSTEM } from './planter.ts';

/** What was planted: the kind that must be found for certain, and the objects that may go then. Without `certain` nothing may go. */
export interface Planted {
  readonly certain?: OrphanKind;
  /** `extent:7`, `zvol:tank/a/x` */
  readonly objects: readonly string[];
}

type Plant = (planter: Planter, bed: Bed, number: number) => Planted;

const NOTHING: Planted = { objects: [] };
const YOUNG = NOW / 1000 - 60;
const sha8 = (text: string): string => createHash('sha1').update(text).digest('hex').slice(0, 8);

/** Orphans that are certain. */
const ORPHANS: Readonly<Record<string, Plant>> = {
  'extent of ours without zvol': (p, bed, n) => {
    const extent = p.extent(bed, n);
    return { certain: 'extent-without-zvol', objects: [`extent:${extent.id}`] };
  },
  'extent of ours without zvol, with a LUN': (p, bed, n) => {
    const extent = p.extent(bed, n);
    const mapping = p.mapping(bed, extent, n);
    return { certain: 'extent-without-zvol', objects: [`extent:${extent.id}`, `mapping:${mapping.id}`] };
  },
  'extent of a Perl plugin without zvol (F-508)': (p, bed, n) => {
    const zvol = `${bed.dataset}/${p.name(n)}`;
    const extent = p.array.putExtent(perlExtentName(zvol), zvol);
    const mapping = p.mapping(bed, extent, n);
    return { certain: 'extent-without-zvol', objects: [`extent:${extent.id}`, `mapping:${mapping.id}`] };
  },
  'mapping to a target that is gone': (p, bed, n) => {
    p.zvol(bed, n);
    p.guests.add(100 + n, [`${bed.storage}:${p.name(n)}`]);
    const mapping = p.array.putMapping(999, p.extent(bed, n).id, n + 1);
    return { certain: 'mapping-without-target', objects: [`mapping:${mapping.id}`] };
  },
  'namespace of a Perl plugin without zvol': (p, bed, n) => ({
    certain: 'namespace-without-zvol',
    objects: [`namespace:${p.namespace(`${bed.dataset}/${p.name(n)}`, n, SUBSYSTEM)}`],
  }),
  'allocation that stopped after the zvol': (p, bed, n) => ({ certain: 'unfinished-operation', objects: [`zvol:${p.zvol(bed, n).id}`] }),
  'allocation that stopped after the extent': (p, bed, n) => ({
    certain: 'unfinished-operation',
    objects: [`zvol:${p.zvol(bed, n).id}`, `extent:${p.extent(bed, n).id}`],
  }),
  'clone of a backup that is over (F-513)': (p, bed, n) => backupClone(p, bed, n),
};

/** A volume in use with a clone of a backup beside it. */
function backupClone(p: Planter, bed: Bed, n: number, more: { creation?: number; name?: string; lock?: string } = {}): Planted {
  const { id } = p.volume(bed, n);
  p.array.putSnapshot(id, 'vzdump');
  p.guests.add(100 + n, [`${bed.storage}:${p.name(n)}`], more.lock ?? null);
  const clone = p.array.putZvol(`${bed.dataset}/${more.name ?? backupCloneName(p.name(n), 'vzdump')}`, {
    origin: `${id}@vzdump`,
    creation: more.creation ?? NOW / 1000 - 2 * DAY,
  });
  return { certain: 'backup-clone', objects: [`zvol:${clone.id}`] };
}

const untouched = (plant: (p: Planter, bed: Bed, n: number) => unknown): Plant => {
  return (p, bed, n) => {
    plant(p, bed, n);
    return NOTHING;
  };
};

/** What looks like an orphan, or is one that nobody may delete. */
const OTHERS: Readonly<Record<string, Plant>> = {
  'volume of a guest': untouched((p, bed, n) => {
    p.volume(bed, n);
    p.guests.add(100 + n, [`${bed.storage}:${p.name(n)}`]);
  }),
  'volume of no guest': untouched((p, bed, n) => p.volume(bed, n)),
  'extent that may be anybody’s': untouched((p, bed, n) => p.array.putExtent(p.name(n), `${bed.dataset}/${p.name(n)}`)),
  'extent whose name is almost ours': untouched((p, bed, n) =>
    p.array.putExtent(`pve-${p.owner(n).replaceAll('-', '').slice(1)}`, `${bed.dataset}/${p.name(n)}`),
  ),
  'extent whose name is ours in capitals': untouched((p, bed, n) =>
    p.array.putExtent(`PVE-${p.owner(n).replaceAll('-', '').toUpperCase()}`, `${bed.dataset}/${p.name(n)}`),
  ),
  'extent with the hash of another zvol': untouched((p, bed, n) =>
    p.array.putExtent(`${p.name(n)}-${sha8(`x/${p.name(n)}`)}`, `${bed.dataset}/${p.name(n)}`),
  ),
  'extent of a dataset inside': untouched((p, bed, n) => p.extent({ ...bed, dataset: `${bed.dataset}/inner` }, n)),
  'extent of a dataset with a longer name': untouched((p, bed, n) => p.extent({ ...bed, dataset: `${bed.dataset}2` }, n)),
  'extent of another pool': untouched((p, bed, n) => p.extent({ ...bed, dataset: `other/${bed.dataset}` }, n)),
  'extent on a zvol that is no volume': untouched((p, bed, n) => p.extent(bed, n, `data-${n}`)),
  'weight extent without zvol (F-511)': untouched((p, bed, n) =>
    p.array.putExtent(`pve-weight-x${n}-${sha8(String(n))}`, `${bed.dataset}/pve-weight-x${n}-${sha8(String(n))}`),
  ),
  'weight zvol (F-511)': untouched((p, bed, n) => p.array.putZvol(`${bed.dataset}/pve-weight-y${n}-${sha8(String(n))}`, { creation: 1 })),
  'extent of a zvol that was renamed': untouched((p, bed, n) => {
    p.extent(bed, n);
    p.zvol(bed, n, {}, `vm-${100 + n}-disk-9`);
  }),
  'extent of a template that was half made (F-304)': untouched((p, bed, n) => {
    const zvol = `${bed.dataset}/${p.name(n)}`;
    p.array.putExtent(perlExtentName(zvol), zvol);
    p.array.putZvol(`${bed.dataset}/${p.name(n, 'base')}`, { creation: 1 });
  }),
  'extent that an operation is at work on': untouched((p, bed, n) => {
    p.extent(bed, n);
    p.operation(bed, `${bed.dataset}/${p.name(n)}`, n);
  }),
  'mapping without an extent': untouched((p, bed, n) => p.array.putMapping(bed.target, 100_000 + n, n + 1)),
  'mapping of somebody else’s extent to no target': untouched((p, _bed, n) =>
    p.array.putMapping(998, p.array.putExtent(`theirs-${n}`, `data/${n}`).id, n + 1),
  ),
  'namespace of another subsystem': untouched((p, bed, n) =>
    p.namespace(`${bed.dataset}/${p.name(n)}`, n, 'nqn.2014-08.org.example:theirs'),
  ),
  'namespace of another dataset': untouched((p, bed, n) => p.namespace(`${bed.dataset}x/${p.name(n)}`, n, SUBSYSTEM)),
  'zvol that another node is just making': untouched((p, bed, n) => p.zvol(bed, n, { creation: YOUNG })),
  'zvol of unknown age': untouched((p, bed, n) =>
    p.array.zvolsById.set(`${bed.dataset}/${p.name(n)}`, { ...p.zvol(bed, n), creation: null }),
  ),
  'zvol without LUN, with data': untouched((p, bed, n) => p.zvol(bed, n, { written: 1 << 30 })),
  'zvol without LUN, of which the array does not say what was written': untouched((p, bed, n) => {
    const { written, ...zvol } = p.zvol(bed, n);
    p.array.zvolsById.set(zvol.id, zvol);
  }),
  'zvol without LUN, of a guest': untouched((p, bed, n) => {
    p.zvol(bed, n);
    p.guests.add(3000 + n, [`${bed.storage}:vol-${p.name(n)}-lun${n}`]);
  }),
  'zvol without LUN, named under a storage that is gone': untouched((p, bed, n) => {
    p.zvol(bed, n);
    p.guests.add(3000 + n, [`removed:${p.name(n)}`]);
  }),
  'base without LUN, of a linked clone': untouched((p, bed, n) => {
    p.zvol(bed, n, {}, p.name(n, 'base'));
    p.guests.add(3000 + n, [`${bed.storage}:${p.name(n, 'base')}/vm-${3000 + n}-disk-0`]);
  }),
  'zvol without LUN, whose guest is locked': untouched((p, bed, n) => {
    p.zvol(bed, n);
    p.guests.add(100 + n, [], 'create');
  }),
  'zvol without LUN, with a snapshot': untouched((p, bed, n) => p.array.putSnapshot(p.zvol(bed, n).id, 'daily')),
  'zvol without LUN, with a held snapshot and a clone elsewhere': untouched((p, bed, n) => {
    const { id } = p.zvol(bed, n);
    p.array.putSnapshot(id, 'keep');
    p.array.holds.add(`${id}@keep`);
    p.array.putZvol(`elsewhere/clone-${n}`, { origin: `${id}@keep` });
  }),
  'zvol that is a clone': untouched((p, bed, n) => p.zvol(bed, n, { origin: `${bed.dataset}/base-99-disk-0@__base__` })),
  'zvol exported by hand, without LUN': untouched((p, bed, n) => p.array.putExtent(`by-hand-${n}`, p.zvol(bed, n).id)),
  'zvol exported by NVMe': untouched((p, bed, n) => p.namespace(p.zvol(bed, n).id, n, 'nqn.2014-08.org.example:theirs')),
  'zvol with the mark of another storage': untouched((p, bed, n) =>
    p.zvol(bed, n, { userProperties: { [OWNER_PROPERTY]: p.owner(n), [STORAGE_PROPERTY]: 'cluster-b' } }),
  ),
  'zvol that an operation is at work on': untouched((p, bed, n) => p.operation(bed, p.zvol(bed, n).id, n)),
  'zvol without a mark': untouched((p, bed, n) => p.array.putZvol(`${bed.dataset}/${p.name(n)}`, { creation: 1 })),
  'zvol with a mark that is none': untouched((p, bed, n) =>
    p.zvol(bed, n, { userProperties: { [OWNER_PROPERTY]: 'somebody', 'pve-truenas:owners': p.owner(n) } }),
  ),
  'zvol of ours in a dataset inside': untouched((p, bed, n) => p.zvol({ ...bed, dataset: `${bed.dataset}/inner` }, n)),
  'zvol of ours that got another name': untouched((p, bed, n) => p.zvol(bed, n, {}, `keep-${n}`)),
  'clone of a backup that may run': untouched((p, bed, n) => backupClone(p, bed, n, { creation: NOW / 1000 - 3600 })),
  'clone of a backup of a locked guest': untouched((p, bed, n) => backupClone(p, bed, n, { lock: 'backup' })),
  'clone with a name like a backup’s': untouched((p, bed, n) => backupClone(p, bed, n, { name: `vzdump-${p.name(n)}-vzdump-00000000` })),
  'clone of a backup that a node may have open': untouched((p, bed, n) => {
    const [clone = ''] = backupClone(p, bed, n).objects;
    const id = clone.slice('zvol:'.length);
    p.mapping({ ...bed, target: 3 }, p.array.putExtent(perlExtentName(id), id), n);
  }),
};

export const PLANTS: Readonly<Record<string, Plant>> = { ...ORPHANS, ...OTHERS };
export const PLANT_NAMES = Object.keys(PLANTS);
