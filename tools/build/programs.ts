/** The programs that ship, with the file each begins at. */
export const PROGRAMS = {
  'pve-truenasd': 'src/daemon/main.ts',
  'pve-truenas': 'src/cli/main.ts',
  'pve-truenas-sim': 'sim/main.ts',
} as const;
