import { StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import { assertVolumeSize, formatBytes } from '../core/sizes.ts';
import { parseVolumeName } from '../core/volume-name.ts';
import { changeOnce } from './change-once.ts';
import { type StorageContext, volumeKey } from './context.ts';
import { findVolume, lunSpec, zvolId } from './lookup.ts';

/**
 * Grows a volume to `size` bytes (rounded up to its block size) and returns when this node's device shows it: QEMU's
 * block_resize follows at once (pve-storage-api 6.1). One change. Returns the new size.
 * Errors: VOLUME_MISSING, SIZE_INVALID, SHRINK_REFUSED, NO_SPACE.
 */
export async function resize(context: StorageContext, volname: string, size: number, deadline: Deadline): Promise<number> {
  assertVolumeSize(size);
  const { name } = parseVolumeName(volname);
  return context.locks.run(volumeKey(context, zvolId(context, name)), deadline.signal, async () => {
    const { array, inventory } = context;
    const volume = await findVolume(context, volname, deadline);
    const { zvol } = volume;
    const blocks = Math.ceil(size / zvol.volblocksize) * zvol.volblocksize;
    if (blocks < zvol.volsize) {
      throw new StorageError(
        'SHRINK_REFUSED',
        `volume '${context.config.id}:${name}' has ${formatBytes(zvol.volsize)} and cannot be made smaller (${formatBytes(size)})`,
        {
          state: 'nothing was changed',
        },
      );
    }
    let grown = zvol;
    if (blocks > zvol.volsize) {
      await changeOnce(
        () => array.resizeZvol(zvol.id, blocks, context.config.forceSize, deadline),
        async () => ((await array.zvol(zvol.id, deadline))?.volsize === blocks ? undefined : null),
      );
      grown = { ...zvol, volsize: blocks };
      inventory.zvolCollection(context.config.dataset).put(grown);
      context.log.info('volume resized', { volume: `${context.config.id}:${name}`, from: zvol.volsize, to: blocks });
    }
    if (volume.mapping !== null) await context.host.grow(await lunSpec(context, { ...volume, zvol: grown }), deadline);
    return blocks;
  });
}
