import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { jsonShape } from './json-shape.ts';

describe('jsonShape', () => {
  it('shows members, absent ones, alternatives, lists and descriptions', () => {
    const of = z.object({
      id: z.string().describe('name of it'),
      state: z.enum(['up', 'down']),
      lun: z.int().nullable(),
      since: z.number().optional(),
      rows: z.array(z.object({ ok: z.boolean() })),
    });
    expect(jsonShape(of)).toBe(`{
  // name of it
  "id": string,
  "state": "up" | "down",
  "lun": integer | null,
  "since"?: number,
  "rows": [
    {
      "ok": boolean
    }, ...
  ]
}`);
  });

  it('shows a record by what its values are', () => {
    expect(jsonShape(z.record(z.string(), z.int()))).toBe('{\n  "...": integer\n}');
  });
});
