import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { METRICS } from '../../src/core/metrics.ts';
import { unknownNames } from './promql.ts';
import { promtool } from './promtool.ts';

const panel = z.object({
  id: z.int(),
  type: z.string(),
  title: z.string().min(1),
  gridPos: z.object({ h: z.int(), w: z.int(), x: z.int(), y: z.int() }),
  datasource: z.object({ uid: z.string() }).optional(),
  targets: z.array(z.object({ expr: z.string(), legendFormat: z.string(), datasource: z.object({ uid: z.string() }) })).optional(),
});
const dashboard = z
  .object({
    uid: z.string(),
    title: z.string(),
    templating: z.object({ list: z.array(z.object({ name: z.string(), type: z.string(), definition: z.string().optional() })) }),
    panels: z.array(panel),
  })
  .parse(JSON.parse(readFileSync(resolve(import.meta.dirname, '../../monitoring/grafana-dashboard.json'), 'utf8')));

const queries = dashboard.panels.flatMap(({ title, targets }) =>
  (targets ?? []).map(({ expr, legendFormat }) => ({ title, expr, legendFormat })),
);

/** As Grafana sends it, with the variables filled in. */
function filled(expr: string): string {
  return expr.replaceAll('$__rate_interval', '5m').replaceAll(/\$(?:job|instance|array|storage)\b/g, 'x');
}

const folder = mkdtempSync(join(tmpdir(), 'dashboard-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('the dashboard', () => {
  it('has panels that do not overlap and have ids of their own', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const taken = new Set<string>();
    for (const { gridPos, title } of dashboard.panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
          expect(taken.has(`${x} ${y}`), `${title} at ${x} ${y}`).toBe(false);
          taken.add(`${x} ${y}`);
        }
      }
    }
  });

  it('lets the data source, node, array and storage be chosen', () => {
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['datasource', 'job', 'instance', 'array', 'storage']);
    const asked = dashboard.templating.list.flatMap(({ definition }) => (definition === undefined ? [] : [definition]));
    for (const definition of asked) {
      const [, selector = '', label = ''] = /^label_values\((.*), (\w+)\)$/.exec(definition) ?? [];
      expect(unknownNames(`sum by (${label}) (${selector})`), definition).toEqual([]);
    }
    const sources = dashboard.panels.flatMap(({ datasource, targets }) => [
      datasource,
      ...(targets ?? []).map((target) => target.datasource),
    ]);
    expect(sources.filter((source) => source !== undefined && source.uid !== '${datasource}')).toEqual([]);
  });

  it.each(queries)('$title: $expr names only what exists', ({ expr, legendFormat }) => {
    expect(unknownNames(filled(expr))).toEqual([]);
    for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) {
      // what is aggregated away cannot be shown
      const kept = /\bby \(([^)]*)\)/.exec(expr)?.[1];
      if (kept === undefined) expect(unknownNames(`sum by (${label}) (${filled(expr)})`)).toEqual([]);
      else expect(kept.split(', ')).toContain(label);
    }
  });

  it('has queries that Prometheus can parse', async () => {
    const file = join(folder, 'rules.yml');
    const rules = queries.map(({ expr }, n) => `      - record: panel:query:${n}\n        expr: ${JSON.stringify(filled(expr))}\n`);
    writeFileSync(file, `groups:\n  - name: panels\n    rules:\n${rules.join('')}`);
    const { status, output } = await promtool(['check', 'rules', file]);
    expect({ status, output }).toEqual({ status: 0, output: expect.stringContaining(`SUCCESS: ${queries.length} rules found`) as string });
  });

  it('shows every metric somewhere', () => {
    const all = queries.map(({ expr }) => expr).join('\n');
    const rare = ['process_start_time_seconds', 'pve_truenas_orphans_checked_timestamp_seconds'];
    expect(Object.keys(METRICS).filter((name) => !all.includes(name) && !rare.includes(name))).toEqual([]);
  });
});
