import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { assertSnapshotName, parseVolumeName, tryParseVolumeName } from '../../src/core/volume-name.ts';

/** The vectors that perl/t/02-names.t holds the Perl module against: both sides refuse and accept the same. */
const vectors = z
  .object({
    volumes: z.array(
      z.object({
        volname: z.string(),
        name: z.string(),
        vmid: z.int(),
        isBase: z.boolean(),
        base: z.object({ name: z.string(), vmid: z.int() }).nullable(),
      }),
    ),
    refused: z.array(z.string()),
    refusedSizes: z.object({ names: z.array(z.int()), prefix: z.string(), fill: z.string() }),
    acceptedSizes: z.object({ names: z.array(z.int()), prefix: z.string(), fill: z.string() }),
    snapshots: z.object({ accepted: z.array(z.string()), refused: z.array(z.string()) }),
  })
  .parse(JSON.parse(readFileSync(new URL('../../perl/t/names.json', import.meta.url), 'utf8')));

describe('names, as the Perl module sees them', () => {
  it.each(vectors.volumes)('$volname', ({ volname, ...expected }) => {
    expect(parseVolumeName(volname)).toMatchObject(expected);
  });
  it.each(vectors.refused)('refuses %j', (name) => {
    expect(tryParseVolumeName(name)).toBeNull();
  });
  it('keeps the same limits of length', () => {
    const { acceptedSizes, refusedSizes } = vectors;
    for (const n of acceptedSizes.names) expect(tryParseVolumeName(acceptedSizes.prefix + acceptedSizes.fill.repeat(n))).not.toBeNull();
    for (const n of refusedSizes.names) expect(tryParseVolumeName(refusedSizes.prefix + refusedSizes.fill.repeat(n))).toBeNull();
  });
  it.each(vectors.snapshots.accepted)('accepts the snapshot %j', (name) => {
    expect(() => assertSnapshotName(name)).not.toThrow();
  });
  it.each(vectors.snapshots.refused)('refuses the snapshot %j', (name) => {
    expect(() => assertSnapshotName(name)).toThrow(/invalid snapshot name/);
  });
});
