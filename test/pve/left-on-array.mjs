// Says what a run of test/pve left on the simulated array: left-on-array.mjs FILE with the output of `fault state --json`.
// Exit status 1 when anything but the pool, the parent dataset and the target is there.
import { readFileSync } from 'node:fs';

const { zfs, iscsi } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const left = [
  ...zfs.datasets.filter(({ type }) => type !== 'FILESYSTEM').map(({ name }) => `volume ${name}`),
  ...zfs.snapshots.map((snapshot) => `snapshot ${snapshot.name ?? JSON.stringify(snapshot)}`),
  ...iscsi.extents.map(({ name }) => `extent ${name}`),
  ...iscsi.mappings.map(({ id }) => `mapping ${id}`),
];
for (const object of left) console.error(`left on the array: ${object}`);
process.exit(left.length === 0 ? 0 : 1);
