import * as z from 'zod';
import type { PropertySource, PropertyValue } from '../../../state/zfs/property-table.ts';

/** name, raw value, source, the dataset it is inherited from */
const property = z.tuple([z.string(), z.string(), z.enum(['NONE', 'DEFAULT', 'LOCAL', 'INHERITED']), z.string().nullable()]);
const answer = z.object({
  refusal: z.string().nullable(),
  datasets: z.array(z.object({ name: z.string(), type: z.enum(['FILESYSTEM', 'VOLUME', 'SNAPSHOT']), properties: z.array(property) })),
  holds: z.record(z.string(), z.record(z.string(), z.number())),
  sizes: z.tuple([z.number(), z.number(), z.number()]).nullable(),
});
/** a defect of the worker, as Python words it */
const failure = z.object({ failed: z.string() });

export interface ReportedDataset {
  readonly name: string;
  readonly type: 'FILESYSTEM' | 'VOLUME' | 'SNAPSHOT';
  readonly properties: ReadonlyMap<string, PropertyValue>;
  /** tag → seconds since the epoch */
  readonly holds: Readonly<Record<string, number>>;
}

export interface PoolReport {
  /** of those that were read, the ones that are there */
  readonly datasets: readonly ReportedDataset[];
  /** bytes of the pool's disks; null when it was not read whole */
  readonly sizes: { readonly size: number; readonly allocated: number; readonly free: number } | null;
}

/** Errors: Error when it is not what the worker answers. */
export function parseAnswer(text: string): { refusal: string | null; report: PoolReport } {
  const said: unknown = JSON.parse(text);
  const failed = failure.safeParse(said);
  if (failed.success) throw new Error(`the worker in the VM failed: ${failed.data.failed}`);
  const { refusal, datasets, holds, sizes } = answer.parse(said);
  return {
    refusal,
    report: {
      datasets: datasets.map((one) => ({
        name: one.name,
        type: one.type,
        properties: new Map(
          one.properties.map(([name, raw, source, from]) => [name, { raw, source: source satisfies PropertySource, from }]),
        ),
        holds: holds[one.name] ?? {},
      })),
      sizes: sizes === null ? null : { size: sizes[0], allocated: sizes[1], free: sizes[2] },
    },
  };
}
