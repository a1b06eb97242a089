import { describe, expect, it } from 'vitest';
import { type CounterName, METRICS, type MetricName } from '../core/metrics.ts';
import { PromMeter } from './metrics.ts';

const array = 'nas:443';

function filled(): PromMeter {
  const meter = new PromMeter();
  meter.count('pve_truenas_logins_total', { array, outcome: 'ok' });
  meter.count('pve_truenas_logins_total', { array, outcome: 'ok' }, 2);
  meter.count('pve_truenas_logins_total', { array, outcome: 'AUTH_FAILED' });
  meter.set('pve_truenas_array_up', { array }, 1);
  meter.set('pve_truenas_journal_entries', {}, 3);
  for (const value of [0.3, 0.3, 4]) meter.observe('pve_truenas_device_wait_seconds', { storage: 'tn' }, value);
  return meter;
}

describe('the text', () => {
  it('is OpenMetrics: counters are families without _total, and # EOF stands at the end, also the second time', async () => {
    const meter = filled();
    await meter.text('openmetrics');
    const text = await meter.text('openmetrics');
    expect(text).toContain('# TYPE pve_truenas_logins counter\npve_truenas_logins_total{array="nas:443",outcome="ok"} 3\n');
    expect(text).toContain('pve_truenas_device_wait_seconds_bucket{le="0.5",storage="tn"} 2\n');
    expect(text.endsWith('\n# EOF\n')).toBe(true);
    expect(text).not.toContain('\n\n');
  });

  it('is the text format of Prometheus when that is asked for, before and after OpenMetrics', async () => {
    const meter = filled();
    for (let round = 0; round < 2; round += 1) {
      const text = await meter.text('prometheus');
      expect(text).toContain('# TYPE pve_truenas_logins_total counter\npve_truenas_logins_total{array="nas:443",outcome="ok"} 3\n');
      expect(text).not.toContain('# EOF');
      expect(text).not.toContain('_total_total');
      await meter.text('openmetrics');
    }
  });

  it('names every metric of the catalogue and no other', async () => {
    const text = await new PromMeter().text('prometheus');
    expect([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => ({ name, type }))).toEqual(
      Object.entries(METRICS).map(([name, { type }]) => ({ name, type })),
    );
  });

  it('escapes what a label holds', async () => {
    const meter = new PromMeter();
    meter.set('pve_truenas_dataset_used_bytes', { storage: 'a', dataset: 'x"}\n\\' }, 1);
    expect(await meter.text('openmetrics')).toContain('pve_truenas_dataset_used_bytes{storage="a",dataset="x\\"}\\n\\\\"} 1\n');
  });
});

describe('the values', () => {
  it('come with the labels, the distributions with mean and quantiles', async () => {
    const found = await filled().snapshot();
    const of = (name: MetricName) => found.find((metric) => metric.name === name);
    expect(of('pve_truenas_logins_total')?.values).toEqual([
      { labels: { array, outcome: 'ok' }, value: 3 },
      { labels: { array, outcome: 'AUTH_FAILED' }, value: 1 },
    ]);
    expect(of('pve_truenas_journal_entries')?.values).toEqual([{ labels: {}, value: 3 }]);
    const [waits] = of('pve_truenas_device_wait_seconds')?.distributions ?? [];
    expect(waits).toMatchObject({ labels: { storage: 'tn' }, count: 3, sum: 4.6 });
    expect(waits?.mean).toBeCloseTo(4.6 / 3);
    expect(waits?.p50).toBeGreaterThan(0.25);
    expect(waits?.p50).toBeLessThan(0.5);
    expect(waits?.p95).toBeGreaterThan(2);
    expect(waits?.p95).toBeLessThanOrEqual(5);
  });

  it('keep their names after OpenMetrics was written', async () => {
    const meter = filled();
    await meter.text('openmetrics');
    expect((await meter.snapshot()).map(({ name }) => name)).toEqual(Object.keys(METRICS));
  });

  it('forget a gauge that was cleared, and take it up again', async () => {
    const meter = filled();
    meter.clear('pve_truenas_array_up');
    meter.set('pve_truenas_array_up', { array: 'other:443' }, 0);
    const text = await meter.text('openmetrics');
    expect(text).not.toContain('pve_truenas_array_up{array="nas:443"}');
    expect(text).toContain('pve_truenas_array_up{array="other:443"} 0');
  });
});

it('passes over what is no number and what would take from a counter, without failing', async () => {
  const meter = filled();
  const name: CounterName = 'pve_truenas_logins_total';
  const labels = { array, outcome: 'ok' };
  for (const by of [Number.NaN, Number.POSITIVE_INFINITY, -1]) meter.count(name, labels, by);
  meter.set('pve_truenas_journal_entries', {}, Number.NaN);
  meter.observe('pve_truenas_device_wait_seconds', { storage: 'tn' }, Number.NaN);
  expect(await meter.text('openmetrics')).toBe(await filled().text('openmetrics'));
});

it('two meters share nothing', async () => {
  filled();
  expect(await new PromMeter().text('openmetrics')).not.toContain('AUTH_FAILED');
});
