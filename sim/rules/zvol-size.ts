/** Part of the available space that a volume may take unless force_size is given (truenas-api 9.1). */
const SHARE = 0.8;
export const TOO_BIG = 'It is not recommended to use more than 80% of your available space for VOLUME';
export const NOT_A_MULTIPLE = 'Volume size should be a multiple of volume block size';

/** Also for sparse volumes. All in bytes. */
export function exceedsShare(volsize: number, available: number): boolean {
  return volsize > available * SHARE;
}
