import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DatasetInfo } from '../../core/array-port.ts';
import { asStorageError } from '../../core/errors.ts';
import { FakeHost } from '../../host/testing/fake-host.ts';
import { FakeArray, type Mishap } from '../testing/fake-array.ts';
import { World } from '../testing/world.ts';
import { cleanOrphan } from './clean.ts';
import { type LookContext, readFacts } from './facts.ts';
import { findOrphans } from './find.ts';
import type { Orphan } from './orphan.ts';
import { MemoryGuests } from './testing/memory-guests.ts';
import { type Bed, Planter, SUBSYSTEM } from './testing/planter.ts';
import { PLANT_NAMES, PLANTS } from './testing/plants.ts';

/** Several storages on one array: a dataset inside another, a name that begins like another, one dataset under two storages. */
const BEDS: readonly Bed[] = [
  { storage: 'a', dataset: 'tank/a', target: 1 },
  { storage: 'ab', dataset: 'tank/a/b', target: 1 },
  { storage: 'a-b', dataset: 'tank/ab', target: 2 },
  { storage: 'blank', dataset: 'tank/with blank', target: 2 },
];
const ALIAS = { storage: 'alias', dataset: 'tank/a', target: 1 };
const READS = ['extents', 'mappings', 'targets', 'targetSessions', 'namespaces', 'zvols', 'dataset', 'datasetAndZvol', 'extent', 'mapping'];
const MORE_READS = ['extentByName', 'mappingsOfExtent', 'snapshots', 'heldSnapshots', 'clonesOf', 'zvol'];
const CHANGES = ['deleteMapping', 'deleteExtent', 'deleteZvol', 'deleteNamespace'];

const plant = fc.record({ bed: fc.nat({ max: BEDS.length - 1 }), what: fc.constantFrom(...PLANT_NAMES) });
const mishap = fc.oneof(
  fc.record({ method: fc.constantFrom(...READS, ...MORE_READS), mishap: fc.constant<Mishap>('down'), nth: fc.integer({ min: 1, max: 6 }) }),
  fc.record({
    method: fc.constantFrom(...CHANGES),
    mishap: fc.constantFrom<Mishap>('down', 'before', 'after'),
    nth: fc.integer({ min: 1, max: 3 }),
  }),
);
const world = fc.record({
  plants: fc.array(plant, { minLength: 1, maxLength: 14 }),
  mishaps: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(mishap, { minLength: 1, maxLength: 3 }) }),
  /** The n-th answer of a list leaves something out. */
  cut: fc.option(fc.record({ list: fc.constantFrom('zvols', 'extents', 'mappings'), nth: fc.nat({ max: 3 }), keep: fc.nat({ max: 3 }) }), {
    freq: 4,
  }),
  /** Somebody makes a volume under the name of an orphan, right before this read of a deletion. */
  race: fc.option(fc.constantFrom('mappings', 'extents', 'zvols', 'datasetAndZvol', 'extentByName', 'zvol'), { freq: 3 }),
  guestsKnown: fc.boolean(),
  includeVolumes: fc.boolean(),
});
type Given = typeof world extends fc.Arbitrary<infer T> ? T : never;

interface Planned {
  readonly storage: string;
  readonly kind: string;
  readonly objects: readonly string[];
}

/** One array with everything that was planted, and what may be deleted of it. */
class Field {
  readonly array = new FakeArray();
  readonly guests = new MemoryGuests();
  readonly planter = new Planter(this.array, this.guests);
  readonly worlds: readonly World[];
  readonly planned: Planned[] = [];

  constructor(given: Given) {
    const info = (id: string): DatasetInfo => ({ ...this.array.dataset_, id });
    this.array.dataset_ = info('tank/a');
    this.array.ancestors_ = ['tank/a/b', 'tank/ab', 'tank/with blank'].map(info);
    this.array.targets_ = [1, 2, 3].map((id) => ({ id, name: `t${id}`, iqn: `iqn.2005-10.org.freenas.ctl:t${id}`, groups: [] }));
    this.array.sessions_ = [{ target: 'iqn.2005-10.org.freenas.ctl:t3', initiator: 'iqn.1993-08.org.debian:pve1', address: '10.0.0.1' }];
    for (const [number, { bed, what }] of given.plants.entries()) {
      const place = BEDS[bed]!;
      const { certain, objects } = PLANTS[what]!(this.planter, place, number);
      if (certain !== undefined) this.planned.push({ storage: place.storage, kind: certain, objects });
    }
    if (!given.guestsKnown) this.guests.missing = 'the cluster has no quorum';
    this.worlds = [...BEDS, ALIAS].map(({ storage, dataset, target }) => {
      const made = new World(new FakeHost(), this.array, { id: storage, dataset, target: `t${target}` });
      (made.context.section as Record<string, unknown>)['tn_subsystem_nqn'] = SUBSYSTEM;
      for (const operation of this.planter.open) void made.journal.begin(operation);
      return made;
    });
  }

  look(of: World): LookContext {
    const dataset = of.context.config.dataset;
    const elsewhere = [...BEDS, ALIAS].filter((bed) => bed.dataset !== dataset).map((bed) => bed.storage);
    return { guests: this.guests, elsewhere: new Set([...elsewhere, 'local-lvm']) };
  }

  find(of: World): Promise<readonly Orphan[]> {
    return of.run(async (context, deadline) => findOrphans(await readFacts(context, this.look(of), deadline)));
  }

  /** Objects that a deletion of this storage may take: what was planted for it, by the storage's own idea of it. */
  expected(of: World, guestsKnown: boolean): readonly Planned[] {
    const { id, dataset } = of.context.config;
    return this.planned.filter(({ storage, kind }) => {
      const bed = BEDS.find((one) => one.storage === storage)!;
      if (bed.dataset !== dataset) return false;
      if (!guestsKnown && ['unfinished-operation', 'backup-clone'].includes(kind)) return false;
      // Zvols bear the storage that made them; a second storage on the same dataset leaves them alone.
      return id === storage || kind !== 'unfinished-operation';
    });
  }

  objects(): ReadonlyMap<string, unknown> {
    const { array } = this;
    return new Map<string, unknown>([
      ...[...array.zvolsById].map(([id, value]): [string, unknown] => [`zvol:${id}`, value]),
      ...[...array.extentsById].map(([id, value]): [string, unknown] => [`extent:${id}`, value]),
      ...[...array.mappingsById].map(([id, value]): [string, unknown] => [`mapping:${id}`, value]),
      ...[...array.namespacesById].map(([id, value]): [string, unknown] => [`namespace:${id}`, value]),
      ...[...array.snapshotsById].map(([id, value]): [string, unknown] => [`snapshot:${id}`, value]),
    ]);
  }

  /** One list answers once with a part of itself. */
  cutShort({ list, nth, keep }: NonNullable<Given['cut']>): void {
    let calls = 0;
    const cut = async <T>(whole: Promise<T[]>): Promise<T[]> => (calls++ === nth ? (await whole).slice(0, keep) : whole);
    const { zvols, extents, mappings } = this.array;
    if (list === 'zvols') this.array.zvols = (dataset) => cut(zvols(dataset));
    if (list === 'extents') this.array.extents = () => cut(extents());
    if (list === 'mappings') this.array.mappings = () => cut(mappings());
  }
}

/** Another node makes a volume whose name an orphan has, as far as the array lets it. Returns what must not be touched then. */
function takeName(field: Field, orphan: Orphan, number: number): readonly string[] {
  const { planter } = field;
  const zvol =
    orphan.subject.type === 'zvol'
      ? orphan.subject.zvol.id
      : orphan.subject.type === 'extent'
        ? orphan.subject.extent.disk!.slice(5).replaceAll('+', ' ')
        : null;
  if (zvol === null) return [];
  const cut = zvol.lastIndexOf('/');
  const bed = { storage: 'other-node', dataset: zvol.slice(0, cut), target: 1 };
  const made = planter.zvol(bed, number, { creation: 1_700_000_000 }, zvol.slice(cut + 1));
  const extent = planter.extent(bed, number, zvol.slice(cut + 1));
  const mapping = planter.mapping(bed, extent, number);
  return [`zvol:${made.id}`, `extent:${extent.id}`, `mapping:${mapping.id}`];
}

/** Cleans all storages in turn and returns what was told of each orphan. */
async function cleanAll(field: Field, given: Given, orphans: readonly { of: World; orphan: Orphan }[]): Promise<readonly string[]> {
  const mustStay: string[] = [];
  for (const [index, { of, orphan }] of orphans.entries()) {
    if (given.race !== null && index === 0) {
      field.array.before(given.race, () => mustStay.push(...takeName(field, orphan, 900)));
    }
    await of
      .run((context, deadline) => cleanOrphan(context, field.look(of), orphan.id, given.includeVolumes, deadline))
      .catch((error: unknown) => expect(asStorageError(error).code, String(error)).not.toBe('INTERNAL'));
  }
  return mustStay;
}

describe('orphans on arrays of all kinds', () => {
  it('finds every certain one and deletes nothing else, whatever fails, is cut short or is made meanwhile', {
    timeout: 300_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(world, async (given) => {
        const field = new Field(given);
        const before = new Map(field.objects());
        for (const one of given.mishaps) field.array.plan(one.method, one.mishap, one.nth);
        if (given.cut !== null) field.cutShort(given.cut);

        const found: { of: World; orphan: Orphan }[] = [];
        for (const of of field.worlds) {
          const expected = field.expected(of, given.guestsKnown);
          const orphans = await field.find(of).catch((error: unknown) => {
            // A look that failed had a reason to.
            expect(given.mishaps.length > 0 || given.cut !== null, String(error)).toBe(true);
            return null;
          });
          if (orphans === null) continue;
          const certain = orphans.filter((orphan) => orphan.certainty === 'certain');
          const kinds = certain.map((orphan) => orphan.kind).sort();
          const wanted = expected.map((one) => one.kind).sort();
          // Out of an answer that was cut short less may come, but never more.
          if (given.cut === null) expect(kinds).toEqual(wanted);
          else
            for (const kind of new Set(kinds))
              expect(kinds.filter((one) => one === kind).length).toBeLessThanOrEqual(wanted.filter((one) => one === kind).length);
          // Whatever is listed may be asked to be deleted, also what is not certain.
          found.push(...orphans.map((orphan) => ({ of, orphan })));
        }

        const mustStay = await cleanAll(field, given, found);
        const after = field.objects();
        const deletable = new Set(
          field.planned
            .filter(({ kind }) => given.includeVolumes || !['unfinished-operation', 'backup-clone'].includes(kind))
            .filter(({ kind }) => given.guestsKnown || !['unfinished-operation', 'backup-clone'].includes(kind))
            .flatMap(({ objects }) => objects),
        );
        for (const [object, value] of before) {
          if (deletable.has(object) || mustStay.includes(object)) continue;
          expect(after.get(object), `${object} was touched`).toEqual(value);
        }
        for (const object of mustStay) expect(after.has(object), `${object}, made by another node, is gone`).toBe(true);
        if (given.mishaps.length === 0 && given.cut === null && mustStay.length === 0)
          for (const object of deletable) expect(after.has(object), `${object} is left`).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });
});
