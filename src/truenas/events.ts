import * as z from 'zod';
import type { ArrayChange, Release } from '../core/array-port.ts';
import { collectionUpdate } from './wire/envelope.ts';
import { snapshotNamespace } from './wire/snapshots.ts';

const NUMBERED = {
  'iscsi.extent.query': 'extent',
  'iscsi.targetextent.query': 'mapping',
  'iscsi.target.query': 'target',
  'iscsi.portal.query': 'portal',
} as const;

/** What to subscribe to (truenas-api 6). */
export function collections(release: Release): readonly string[] {
  return ['pool.dataset.query', ...Object.keys(NUMBERED), `${snapshotNamespace(release)}.query`, 'service.query'];
}

const serviceFields = z.looseObject({ service: z.string(), state: z.string() });

/**
 * A `collection_update` as the change it tells of; null for what does not concern us or is not understood. Entries are not
 * taken out of it: 25.04 sends ids only, and events are hints (truenas-api 6).
 */
export function toChange(params: unknown): ArrayChange | null {
  const parsed = collectionUpdate.safeParse(params);
  if (!parsed.success) return null;
  const { collection, msg: change, id, fields } = parsed.data;
  if (collection === 'service.query') {
    const service = serviceFields.safeParse(fields);
    return service.success ? { kind: 'service', service: service.data.service, running: service.data.state === 'RUNNING' } : null;
  }
  if (collection === 'pool.dataset.query') return typeof id === 'string' ? { kind: 'zvol', id, change } : null;
  if (collection === 'zfs.snapshot.query' || collection === 'pool.snapshot.query') {
    return typeof id === 'string' ? { kind: 'snapshot', id, change } : null;
  }
  if (!isNumbered(collection) || typeof id !== 'number') return null;
  return { kind: NUMBERED[collection], id, change };
}

function isNumbered(collection: string): collection is keyof typeof NUMBERED {
  return Object.hasOwn(NUMBERED, collection);
}
