import { join } from 'node:path';
import { build } from 'esbuild';
import * as z from 'zod';
import type { Outcome } from './operations.ts';

/** What the driver answers. */
export const OUTCOMES: z.ZodType<readonly Outcome[]> = z.array(
  z.union([
    z.object({ what: z.string(), value: z.string() }),
    z.object({ what: z.string(), code: z.string(), message: z.string(), causes: z.array(z.string()), hints: z.array(z.string()) }),
  ]),
);

let bundled: Promise<string> | undefined;

/** The driver as one file, which Debian's Node.js runs without node_modules. */
export async function driver(): Promise<string> {
  const entryPoints = [join(import.meta.dirname, 'driver.ts')];
  bundled ??= build({
    entryPoints,
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node18.20',
    logLevel: 'error',
  }).then(({ outputFiles }) => outputFiles[0]?.text ?? '');
  return bundled;
}
