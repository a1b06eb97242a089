import { z } from 'zod';
import type { PropertySource, PropertyValue } from '../../../state/zfs/property-table.ts';

/** `zfs get -j -p`: what it says of one property */
const property = z.object({ value: z.string(), source: z.object({ type: z.string(), data: z.string() }) });
const described = z.object({
  name: z.string(),
  type: z.enum(['FILESYSTEM', 'VOLUME', 'SNAPSHOT']),
  properties: z.record(z.string(), property),
});
const output = z.object({ datasets: z.record(z.string(), described) });

const SOURCES: Readonly<Record<string, PropertySource>> = {
  LOCAL: 'LOCAL',
  RECEIVED: 'LOCAL',
  INHERITED: 'INHERITED',
  DEFAULT: 'DEFAULT',
};

export interface ReportedDataset {
  readonly name: string;
  readonly type: 'FILESYSTEM' | 'VOLUME' | 'SNAPSHOT';
  readonly properties: ReadonlyMap<string, PropertyValue>;
}

export interface PoolReport {
  readonly datasets: readonly ReportedDataset[];
  /** bytes of the pool's disks */
  readonly sizes: { readonly size: number; readonly allocated: number; readonly free: number };
  /** of the snapshots that were asked for: full name → tag → seconds since the epoch */
  readonly holds: ReadonlyMap<string, Readonly<Record<string, number>>>;
}

/** Errors: Error when it is not what zfs(8) and zpool(8) print. */
export function parseReport(properties: string, sizes: string, holds: string): PoolReport {
  const { datasets } = output.parse(JSON.parse(properties));
  const [size, allocated, free] = sizes.split('\t').map(Number);
  if (size === undefined || allocated === undefined || free === undefined || !Number.isFinite(size + allocated + free)) {
    throw new Error(`zpool list answered '${sizes}'`);
  }
  return {
    datasets: Object.values(datasets).map((one) => ({
      name: one.name,
      type: one.type,
      properties: new Map(Object.entries(one.properties).map(([name, value]) => [name, reported(value)])),
    })),
    sizes: { size, allocated, free },
    holds: parseHolds(holds),
  };
}

function reported(value: z.infer<typeof property>): PropertyValue {
  const source = SOURCES[value.source.type] ?? 'NONE';
  return { raw: value.value, source, from: source === 'INHERITED' ? value.source.data : null };
}

/** Lines of name, tag and time; names and tags hold no tab. */
function parseHolds(text: string): Map<string, Record<string, number>> {
  const all = new Map<string, Record<string, number>>();
  for (const line of text.split('\n')) {
    const [name, tag, time] = line.split('\t');
    if (name === undefined || tag === undefined || time === undefined) continue;
    all.set(name, { ...all.get(name), [tag]: Number(time) });
  }
  return all;
}
