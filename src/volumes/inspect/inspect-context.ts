import type { StorageContext } from '../context.ts';

/** What a look at a storage needs of it: nothing with which it could change anything. */
export type InspectContext = Pick<StorageContext, 'config' | 'inventory' | 'array' | 'clock' | 'chap' | 'probePortal'>;
