import { ZfsError } from '../state/zfs/zfs-error.ts';

/** Runs `work`; a ZfsError becomes what `translate` makes of it, everything else passes. */
export async function translated<T>(work: () => Promise<T>, translate: (error: ZfsError) => Error): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ZfsError) throw translate(error);
    throw error;
  }
}
