import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { labelsOf, unknownNames } from './promql.ts';
import { promtool } from './promtool.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const FOLDER = join(ROOT, 'monitoring');
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');

/** One rule as it stands in the file. */
interface Rule {
  readonly name: string;
  readonly text: string;
  readonly expr: string;
}

const rules: readonly Rule[] = read('pve-truenas-alerts.yml')
  .split(/\n {6}- alert: /)
  .slice(1)
  .map((block) => {
    const [name = '', ...lines] = block.split('\n');
    const text = lines.join('\n');
    return { name: name.trim(), text, expr: /expr:([\s\S]*?)\n {8}(?:for|labels):/.exec(text)?.[1] ?? '' };
  });

describe('the checks of names', () => {
  it.each([
    ['pve_truenas_array_up == 0', []],
    ['pve_truenas_array_gone == 0', ['pve_truenas_array_gone']],
    ['pve_truenas_array_up{storage="x"}', ['pve_truenas_array_up{storage}']],
    ['pve_truenas_api_call_duration_seconds', ['pve_truenas_api_call_duration_seconds']],
    ['rate(pve_truenas_api_call_duration_seconds_bucket{le="5",method=~"a"}[5m])', []],
    ['pve_truenas_array_up_bucket', ['pve_truenas_array_up_bucket']],
    ['sum by (storage) (pve_truenas_array_up)', ['by (storage)']],
    ['up{job="x"} unless on (instance) pve_truenas_array_up', []],
  ])('find in %s what does not exist', (expr, problems) => {
    expect(unknownNames(expr)).toEqual(problems);
  });
});

describe('the alert rules', () => {
  it('are many, each with a name of its own', () => {
    expect(rules.length).toBeGreaterThanOrEqual(20);
    expect(new Set(rules.map(({ name }) => name)).size).toBe(rules.length);
  });

  it.each(rules)('$name names only metrics and labels that exist', ({ expr }) => {
    expect(expr.trim()).not.toBe('');
    expect(unknownNames(expr)).toEqual([]);
  });

  it.each(rules)('$name says how bad, what, what to do, and where to read on', ({ text }) => {
    expect(text).toMatch(/severity: (?:info|warning|critical)/);
    expect(text).toMatch(/summary: '.{20,}'/);
    expect(text).toMatch(/action: '.{15,}'/);
    const page = /docs: (\S+)/.exec(text)?.[1] ?? '';
    expect(page).toMatch(/^docs\/features\/[a-z-]+\.md$/);
    expect(existsSync(join(ROOT, page)), page).toBe(true);
  });

  it.each(rules)('$name shows only labels that its metrics have', ({ text, expr }) => {
    const metrics = [...expr.matchAll(/\b(?:(?:pve_truenas|process)_[a-z_]+|up)\b/g)].flatMap(([name]) => labelsOf(name) ?? []);
    const shown = [...text.matchAll(/\$labels\.(\w+)/g)].map((match) => match[1] ?? '');
    expect(shown.filter((label) => !metrics.includes(label))).toEqual([]);
  });

  it('pass promtool', async () => {
    const { status, output } = await promtool(['check', 'rules', 'pve-truenas-alerts.yml'], '', FOLDER);
    expect(output).toContain(`SUCCESS: ${rules.length} rules found`);
    expect(status).toBe(0);
  });

  it('fire when they should and are quiet when they should, by promtool', async () => {
    const { status, output } = await promtool(['test', 'rules', 'tests.yml'], '', FOLDER);
    expect({ status, output }).toEqual({ status: 0, output: expect.stringContaining('SUCCESS') as string });
  });

  it.each(rules)('$name is tested to fire and to be quiet', ({ name }) => {
    const tests = read('tests.yml');
    expect(tests).toContain(`name: ${name} fires\n`);
    expect(tests).toContain(`name: ${name} is quiet\n`);
  });

  it('have tests that use only metrics and labels that exist', () => {
    const series = [...read('tests.yml').matchAll(/series: '(.*)'/g)].map((match) => match[1] ?? '');
    expect(series.length).toBeGreaterThan(2 * rules.length - 1);
    expect(series.flatMap(unknownNames)).toEqual([]);
  });

  it('and the example of a scrape configuration pass promtool', async () => {
    const { status, output } = await promtool(['check', 'config', 'scrape-example.yml'], '', FOLDER);
    expect({ status, output }).toEqual({ status: 0, output: expect.stringContaining('SUCCESS') as string });
  });
});
