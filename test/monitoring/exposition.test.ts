import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { type CounterName, type GaugeName, type HistogramName, METRICS, type MetricName } from '../../src/core/metrics.ts';
import { PromMeter } from '../../src/observe/metrics.ts';
import { promtool } from './promtool.ts';

const folder = mkdtempSync(join(tmpdir(), 'exposition-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A meter in which every metric has a value, with labels that are hard to write. */
function everyMetric(): PromMeter {
  const meter = new PromMeter();
  for (const name of Object.keys(METRICS) as MetricName[]) {
    const { type, labels: names } = METRICS[name];
    const labels = Object.fromEntries(names.map((label) => [label, `${label} "with" \\ and\nnewline`])) as never;
    if (type === 'counter') meter.count(name as CounterName, labels, 3);
    else if (type === 'gauge') meter.set(name as GaugeName, labels, 0.25);
    else meter.observe(name as HistogramName, labels, 1.5);
  }
  return meter;
}

it('every metric passes the lint of promtool: names, units, help', async () => {
  const { status, output } = await promtool(['check', 'metrics'], await everyMetric().text('prometheus'));
  expect({ status, output }).toEqual({ status: 0, output: '' });
});

it('promtool objects to what is no metric, so that the test above can fail', async () => {
  const { status, output } = await promtool(['check', 'metrics'], '# TYPE bad_count counter\nbad_count 1\n');
  expect(status).not.toBe(0);
  expect(output).toContain('bad_count');
});

it("Prometheus' own parser reads the OpenMetrics text, which ends with # EOF", async () => {
  const text = await everyMetric().text('openmetrics');
  expect(text.endsWith('\n# EOF\n')).toBe(true);
  // promtool reads OpenMetrics only to import it, for which every sample needs a time
  const timed = text.replace(/^([^#\n].*)$/gm, '$1 1700000000');
  writeFileSync(join(folder, 'metrics.om'), timed);
  const { status, output } = await promtool([
    'tsdb',
    'create-blocks-from',
    'openmetrics',
    join(folder, 'metrics.om'),
    join(folder, 'blocks'),
  ]);
  expect({ status, output }).toEqual({ status: 0, output: expect.stringContaining('BLOCK ULID') as string });
});
