import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const FEATURES = [
  'configuration-validation',
  'health-check',
  'space-check',
  'orphans',
  'lun-conflicts',
  'stale-connections',
  'rate-limits',
  'timeouts',
  'errors',
  'preflight',
  'metrics',
] as const;
const HEADINGS = ['What it does', 'When it runs', 'What it costs', 'Settings', 'Messages'];
/** characters; a section with less says nothing */
const SHORTEST = 15;

/** What is wrong with the page of a feature. */
function gapsOf(page: string): string[] {
  const sections = page.split(/^## /m).slice(1);
  const titles = sections.map((section) => section.split('\n')[0] ?? '');
  const gaps = HEADINGS.filter((heading) => !titles.includes(heading)).map((heading) => `no section '${heading}'`);
  for (const [at, section] of sections.entries()) {
    const body = section.split('\n').slice(1).join('\n').trim();
    if (body.length < SHORTEST) gaps.push(`'${titles[at] ?? ''}' says nothing`);
    if (titles[at] === 'What it costs' && !/\d|[Nn]o call/.test(body)) gaps.push('the costs have no number');
  }
  return gaps;
}

describe('the pages of the features', () => {
  it.each(FEATURES)('%s tells what it does, when, at what cost, how to tune it and what its messages mean', (feature) => {
    expect(gapsOf(text(`docs/features/${feature}.md`))).toEqual([]);
  });

  it.each(FEATURES)('%s is linked from the table in README.md and from the index', (feature) => {
    expect(text('README.md')).toMatch(new RegExp(`^\\| \\[[^\\]]+\\]\\(docs/features/${feature}\\.md\\) \\| .{20,} \\|$`, 'm'));
    expect(text('docs/README.md')).toContain(`(features/${feature}.md)`);
  });

  it('a page that leaves something out is found', () => {
    const filler = 'x'.repeat(SHORTEST);
    const page = `# A\n\n## What it does\n\n${filler}\n\n## When it runs\n\nNow.\n\n## What it costs\n\n${filler}\n\n## Settings\n\n${filler}\n`;
    expect(gapsOf(page)).toEqual(["no section 'Messages'", "'When it runs' says nothing", 'the costs have no number']);
  });
});
