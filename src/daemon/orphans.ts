import { withDeadline } from '../core/deadline.ts';
import { asStorageError, StorageError } from '../core/errors.ts';
import type { GuestReferencesPort } from '../core/guest-references.ts';
import type { PortalAddress } from '../core/host-port.ts';
import type { Journal } from '../core/journal-port.ts';
import type { NodeLeftovers } from '../core/leftovers-port.ts';
import type { Meter } from '../core/metrics.ts';
import type { Clock, Deadline, Log } from '../core/ports.ts';
import { parseSection } from '../config/parse-section.ts';
import type { StorageSection } from '../config/storage-cfg.ts';
import type { StorageParam } from '../protocol/envelope.ts';
import type { Params, Result } from '../protocol/methods.ts';
import type { StorageContext } from '../volumes/context.ts';
import { sayingState } from '../volumes/left-state.ts';
import { cleanPlace } from '../volumes/orphans/clean-node.ts';
import { cleanOrphan, type CleanResult } from '../volumes/orphans/clean.ts';
import { type LookContext, readFacts, type StorageFacts } from '../volumes/orphans/facts.ts';
import { findOrphans, notesOf } from '../volumes/orphans/find.ts';
import { findNodeOrphans, type JudgedStorage, nodeNotes } from '../volumes/orphans/find-node.ts';
import { NODE_ORPHAN_KINDS, type Orphan, STORAGE_ORPHAN_KINDS, whatOf } from '../volumes/orphans/orphan.ts';
import { OrphanRecord } from './orphan-record.ts';
import { isDisabled, paramOf } from './overview.ts';
import { STORAGE_TYPE } from './storages.ts';

/** ms for one storage; a look at 10,000 volumes takes seconds */
const LOOK_MS = 60_000;
/** ms before the caller's own end, so that one dead array does not take the others' answers with it */
const MARGIN_MS = 1_000;
const HOUR_MS = 3_600_000;
/** ms after the start: the first look does not come on top of a node's boot */
const FIRST_LOOK_MS = 300_000;

/** Storage types that keep their volumes on other things than a TrueNAS dataset: what guests name there is none of our volumes. */
const OTHER_PLACES = new Set('dir lvm lvmthin zfspool btrfs nfs cifs cephfs rbd pbs esxi'.split(' '));

export interface OrphansOptions {
  /** All sections of storage.cfg. */
  readonly sections: () => Promise<readonly StorageSection[]>;
  readonly resolve: (param: StorageParam) => Promise<StorageContext>;
  readonly guests: GuestReferencesPort;
  readonly leftovers: NodeLeftovers;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  readonly node: string;
  /** 0 to 1, for the jitter between the nodes' looks */
  readonly random: () => number;
}

type Answer = Result<'overview.orphans'>;

/** One storage after a look. */
interface Looked {
  readonly section: StorageSection;
  readonly context: StorageContext | null;
  readonly facts: StorageFacts | null;
  readonly error: StorageError | null;
}

/** Looks for orphans when asked and now and then by itself, and deletes one when told to. By itself it never deletes anything. */
export class Orphans {
  readonly #options: OrphansOptions;
  readonly #record: OrphanRecord;
  readonly #stop = new AbortController();

  constructor(options: OrphansOptions) {
    this.#options = options;
    this.#record = new OrphanRecord(options.clock, options.meter);
  }

  /** Everything that is found now, of all storages or of one. Errors: STORAGE_UNKNOWN, CONFIG_INVALID. */
  async look(id: string | undefined, deadline: Deadline): Promise<Answer> {
    const sections = await this.#options.sections();
    const ours = sections.filter((section) => section.type === STORAGE_TYPE);
    if (id !== undefined && !ours.some((section) => section.id === id))
      throw new StorageError('STORAGE_UNKNOWN', `no storage '${id}' of type truenasplugin is configured on this node`);
    const wanted = ours.filter((section) => (id === undefined ? this.#isHere(section) : section.id === id) && !isDisabled(section));
    if (id === undefined) this.#record.keep(ours.map((section) => section.id));
    const looked = await Promise.all(wanted.map((section) => this.#lookAt(section, sections, deadline)));
    const storages = looked.map(({ section, facts, error }) => {
      if (facts === null) {
        const { code, message } = error ?? new StorageError('INTERNAL', 'no answer');
        return { id: section.id, complete: false, error: { code, message }, orphans: [], notes: [] };
      }
      const orphans = findOrphans(facts);
      this.#record.looked(section.id, STORAGE_ORPHAN_KINDS, orphans);
      return { id: section.id, complete: true, orphans: orphans.map((one) => this.#shown(section.id, one)), notes: [...notesOf(facts)] };
    });
    return { storages, node: await this.#lookAtNode(id, sections, looked, deadline) };
  }

  /** Errors: BAD_REQUEST, STORAGE_UNKNOWN, those of cleanOrphan and cleanPlace. */
  async delete(params: Params<'orphan.delete'>, deadline: Deadline): Promise<Result<'orphan.delete'>> {
    const { orphan_id: id, include_volumes: includeVolumes } = params;
    const sections = await this.#options.sections();
    // A place on the node is judged by the storage that its id names.
    const [kind = '', , owner] = id.split('#');
    const onNode = NODE_ORPHAN_KINDS.some((known) => known === kind);
    const storage = params.storage_id ?? owner;
    const section = sections.find((one) => one.type === STORAGE_TYPE && one.id === storage);
    if (section === undefined) throw new StorageError('STORAGE_UNKNOWN', 'the storage of this orphan is not configured on this node');
    const look = this.#lookContext(section, sections);
    const what = whatOf(id) ?? '';
    const resolve = (): Promise<StorageContext> => this.#options.resolve(paramOf(section));
    const result = await sayingState('orphan.delete', resolve, async (context): Promise<CleanResult> => {
      if (!onNode) return cleanOrphan(context, look, id, includeVolumes, deadline);
      if (!what.startsWith(`${context.config.dataset}/`)) return { outcome: 'kept', message: 'it is only reported', was: {} };
      return cleanPlace(context, look, this.#options.leftovers, id, what, deadline);
    });
    if (result.outcome !== 'kept') this.#record.gone(section.id, id);
    return { ...result, was: { ...result.was } };
  }

  /** Looks about once an hour until `stop`, at another time on each node. */
  watch(): void {
    const { clock, random } = this.#options;
    const next = (ms: number): void => {
      const cancel = clock.after(ms * (0.9 + random() * 0.2), () => {
        void this.#lookInBackground().then(() => {
          if (!this.#stop.signal.aborted) next(HOUR_MS);
        });
      });
      this.#stop.signal.addEventListener('abort', cancel, { once: true });
    };
    next(FIRST_LOOK_MS * (1 + random()));
  }

  stop(): void {
    this.#stop.abort(new Error('the daemon stops'));
  }

  async #lookInBackground(): Promise<void> {
    const { clock, log } = this.#options;
    try {
      const { storages, node } = await withDeadline(
        clock,
        2 * LOOK_MS,
        'looking for orphans',
        (own) => this.look(undefined, own),
        this.#stop.signal,
      );
      for (const { id, complete, error, orphans } of storages) {
        if (!complete) log.info('orphans could not be looked for', { storage: id, ...error });
        else if (orphans.length > 0) log.info('orphans found: pve-truenas orphans', { storage: id, orphans: orphans.length });
      }
      if (node.orphans.length > 0) log.info('orphans found on this node: pve-truenas orphans', { orphans: node.orphans.length });
    } catch (error) {
      if (!this.#stop.signal.aborted) log.info('orphans could not be looked for', { error: asStorageError(error).message });
    }
  }

  async #lookAt(section: StorageSection, sections: readonly StorageSection[], deadline: Deadline): Promise<Looked> {
    let context: StorageContext | null = null;
    try {
      const found = (context = await this.#options.resolve(paramOf(section)));
      const limit = Math.min(LOOK_MS, Math.max(1, deadline.remaining() - MARGIN_MS));
      const facts = await withDeadline(
        this.#options.clock,
        limit,
        'looking for orphans',
        (own) => readFacts(found, this.#lookContext(section, sections), own),
        deadline.signal,
      );
      return { section, context, facts, error: null };
    } catch (error) {
      return { section, context, facts: null, error: asStorageError(error) };
    }
  }

  /** What is meant for other nodes may well be out of this one's reach. */
  #isHere(section: StorageSection): boolean {
    const nodes = parseSection(section.id, section.properties).config?.nodes ?? null;
    return nodes === null || nodes.includes(this.#options.node);
  }

  #lookContext(section: StorageSection, sections: readonly StorageSection[]): LookContext {
    const dataset = parseSection(section.id, section.properties).config?.dataset;
    const elsewhere = sections.filter((other) => {
      if (OTHER_PLACES.has(other.type)) return true;
      if (other.type !== STORAGE_TYPE) return false;
      const there = parseSection(other.id, other.properties).config?.dataset;
      return there !== undefined && there !== dataset;
    });
    return { guests: this.#options.guests, elsewhere: new Set(elsewhere.map((other) => other.id)) };
  }

  async #lookAtNode(
    id: string | undefined,
    sections: readonly StorageSection[],
    looked: readonly Looked[],
    deadline: Deadline,
  ): Promise<Answer['node']> {
    const { leftovers, journal, clock, node: name } = this.#options;
    // PVE's own file is never empty: without it nobody knows which storages there are.
    if (sections.length === 0) return { name, orphans: [], notes: ['storage.cfg is not there or empty: this node was not looked at'] };
    const ours = sections.filter((section) => section.type === STORAGE_TYPE);
    try {
      const [state, open] = await Promise.all([leftovers.read(deadline), journal.list()]);
      const storages = await Promise.all(ours.map((section) => this.#judged(section, looked, deadline)));
      const facts = { now: clock.now(), state, storages, open };
      const wanted = findNodeOrphans(facts).filter((orphan) => id === undefined || orphan.name.startsWith(`${id}/`));
      const found: Orphan[] = [];
      for (const orphan of wanted) if (await isConfirmed(orphan, looked, deadline)) found.push(orphan);
      if (id === undefined) this.#record.looked('', NODE_ORPHAN_KINDS, found);
      return { name, orphans: found.map((orphan) => this.#shown('', orphan)), notes: id === undefined ? [...nodeNotes(facts)] : [] };
    } catch (error) {
      deadline.signal.throwIfAborted();
      return { name, orphans: [], notes: [`this node could not be looked at: ${asStorageError(error).message}`] };
    }
  }

  async #judged(section: StorageSection, looked: readonly Looked[], deadline: Deadline): Promise<JudgedStorage> {
    const { config } = parseSection(section.id, section.properties);
    const facts = looked.find((one) => one.section === section)?.facts ?? null;
    const portals = config === null ? null : await this.#addresses(config.portals, deadline);
    return { id: section.id, config, facts, portals };
  }

  /** null when one of the names has no address now. */
  async #addresses(portals: readonly PortalAddress[], deadline: Deadline): Promise<readonly PortalAddress[] | null> {
    try {
      const all = await Promise.all(
        portals.map(async ({ host, port }) =>
          (await this.#options.leftovers.resolve(host, deadline)).map((address) => ({ host: address, port })),
        ),
      );
      return all.flat();
    } catch {
      return null;
    }
  }

  #shown(storage: string, orphan: Orphan): Answer['node']['orphans'][number] {
    const { id, kind, name, size, reason, certainty, action, data, createdAt } = orphan;
    const now = this.#options.clock.now();
    return {
      id,
      kind,
      name,
      age_s: createdAt === null ? null : Math.max(0, Math.floor(now / 1000) - createdAt),
      seen_s: this.#record.seenFor(storage, id),
      size,
      reason,
      certainty,
      action,
      data,
    };
  }
}

/** A place on the node is called stale only when the array says so in the same answer as the dataset (law 3). */
async function isConfirmed(orphan: Orphan, looked: readonly Looked[], deadline: Deadline): Promise<boolean> {
  const { subject } = orphan;
  if (orphan.certainty !== 'certain' || (subject.type !== 'link' && subject.type !== 'record')) return true;
  const context = looked.find((one) => one.section.id === subject.place.storage)?.context ?? null;
  if (context === null) return false;
  const { dataset } = context.config;
  return (await context.array.datasetAndZvol(dataset, `${dataset}/${subject.place.volume}`, deadline)).zvol === null;
}
