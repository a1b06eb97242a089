/** SCST's map size; LUNs go from 0 to 16382 (truenas-api 11). */
export const LUN_MAP_SIZE = 16_383;

/** The lowest number from `first` on that is not in `used`. */
export function lowestFreeLun(used: readonly number[], first = 0): number {
  const taken = new Set(used);
  let lun = first;
  while (taken.has(lun)) lun += 1;
  return lun;
}
