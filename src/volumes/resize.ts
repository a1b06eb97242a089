import type { Zvol } from '../core/array-port.ts';
import { RefusedError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { assertVolumeSize } from '../core/sizes.ts';
import { parseVolumeName } from '../core/volume-name.ts';
import { changeOnce } from './change-once.ts';
import { type StorageContext, volumeKey } from './context.ts';
import { sizeAfterGrowth } from './growth.ts';
import { findVolume, lunSpec, zvolId } from './lookup.ts';
import { assertPreflight } from './preflight/preflight.ts';
import { explainNoSpace, needOfGrowth } from './space.ts';

/**
 * Grows a volume to `size` bytes (rounded up to its block size) and returns when this node's device shows it: QEMU's
 * block_resize follows at once (pve-storage-api 6.1). One change; two for a thick volume. Returns the new size.
 * Errors: VOLUME_MISSING, SIZE_INVALID, SHRINK_REFUSED, NO_SPACE, PREFLIGHT_FAILED and what its checks say.
 */
export async function resize(context: StorageContext, volname: string, size: number, deadline: Deadline): Promise<number> {
  assertVolumeSize(size);
  const { name } = parseVolumeName(volname);
  return context.locks.run(volumeKey(context, zvolId(context, name)), deadline.signal, async () => {
    const { inventory } = context;
    const volume = await findVolume(context, volname, deadline);
    const { zvol } = volume;
    const blocks = sizeAfterGrowth(context, name, zvol, size);
    let grown = zvol;
    if (blocks > zvol.volsize) {
      await assertPreflight(context, { operation: 'resize', volume: volname, size: blocks }, deadline);
      await growZvol(context, zvol, blocks, deadline);
      grown = { ...zvol, volsize: blocks };
      inventory.zvolCollection(context.config.dataset).put(grown);
      context.log.info('volume resized', { volume: `${context.config.id}:${name}`, from: zvol.volsize, to: blocks });
    }
    if (volume.mapping !== null) await context.host.grow(await lunSpec(context, { ...volume, zvol: grown }), deadline);
    return blocks;
  });
}

/** The change. Errors: NO_SPACE with numbers read now, when somebody else took the space meanwhile. */
async function growZvol(context: StorageContext, zvol: Zvol, size: number, deadline: Deadline): Promise<void> {
  const { array, config, inventory } = context;
  const need = needOfGrowth(context, zvol, size);
  try {
    await changeOnce(
      () => array.resizeZvol(zvol.id, size, config.forceSize, deadline),
      async () => ((await array.zvol(zvol.id, deadline))?.volsize === size ? undefined : null),
    );
  } catch (error) {
    if (error instanceof RefusedError && error.code === 'NO_SPACE') throw await explainNoSpace(context, need, error, deadline);
    throw error;
  }
  if (!need.thick) return;
  await reserve(context, zvol, size, deadline);
  inventory.spend(config.dataset, need.requested);
}

/** A thick volume stays thick: ZFS does not let the reservation grow with it. Errors: NO_SPACE; the volume has grown then. */
async function reserve(context: StorageContext, zvol: Zvol, size: number, deadline: Deadline): Promise<void> {
  const { array } = context;
  try {
    await changeOnce(
      () => array.reserveZvol(zvol.id, size, deadline),
      async () => (((await array.zvol(zvol.id, deadline))?.used ?? 0) >= size ? undefined : null),
    );
  } catch (error) {
    if (error instanceof RefusedError && error.code === 'NO_SPACE')
      throw await explainNoSpace(context, needOfGrowth(context, zvol, size), error, deadline);
    throw error;
  }
}
