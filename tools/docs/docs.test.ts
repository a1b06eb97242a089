import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { settingNamed } from '../../src/config/schema.ts';
import { ERROR_CATALOGUE } from '../../src/core/error-catalogue.ts';
import { METHODS } from '../../src/protocol/methods.ts';
import { PAGES } from './pages.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const pages = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md'))
  .map((name) => ({ path: `docs/${name}`, text: readFileSync(join(ROOT, 'docs', name), 'utf8') }));

/** The anchor that a Markdown heading gets (as GitHub makes it). */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
}

function anchorsOf(text: string): readonly string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map((match) => anchor(match[1] ?? ''));
}

describe('docs', () => {
  it.each(PAGES)('$path is what its generator makes', ({ path, make }) => {
    expect(readFileSync(join(ROOT, path), 'utf8'), 'run npx tsx tools/docs/main.ts').toBe(make());
  });

  it('has no dead link', () => {
    const dead = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap((match) => {
        const link = match[1] ?? '';
        if (/^[a-z]+:/.test(link)) return [];
        const [file = '', fragment] = link.split('#');
        const target = file === '' ? path : join(dirname(path), file);
        if (!existsSync(join(ROOT, target))) return [`${path}: ${link}`];
        const there = fragment === undefined || anchorsOf(readFileSync(join(ROOT, target), 'utf8')).includes(fragment);
        return there ? [] : [`${path}: ${link}`];
      }),
    );
    expect(dead).toEqual([]);
  });

  it('lists every page in the index', () => {
    const index = pages.find(({ path }) => path === 'docs/README.md')?.text ?? '';
    const missing = pages.filter(({ path }) => path !== 'docs/README.md' && !index.includes(`(${path.slice('docs/'.length)})`));
    expect(missing.map(({ path }) => path)).toEqual([]);
  });

  it('names only settings that exist, in examples of storage.cfg and of pvesm', () => {
    const unknown = pages.flatMap(({ path, text }) => {
      const blocks = [...text.matchAll(/```[a-z]*\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
      const inCfg = blocks
        .filter((block) => block.startsWith('truenasplugin:'))
        .flatMap((block) => [...block.matchAll(/^\s+([a-z][a-z0-9_-]*)/gm)].map((match) => match[1] ?? ''));
      const inPvesm = [...text.matchAll(/pvesm (?:add truenasplugin|set) [^`]*/g)].flatMap((match) =>
        [...match[0].matchAll(/--([a-z][a-z0-9_-]*)/g)].map((flag) => flag[1] ?? ''),
      );
      return [...inCfg, ...inPvesm]
        .filter((name) => name !== 'delete' && settingNamed(name) === undefined)
        .map((name) => `${path}: ${name}`);
    });
    expect(unknown).toEqual([]);
  });

  it('names only error codes that exist', () => {
    const codes = Object.keys(ERROR_CATALOGUE);
    const unknown = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/explain ([A-Z][A-Z_]+)/g)].flatMap((match) =>
        match[1] === 'CODE' || codes.includes(match[1] ?? '') ? [] : [`${path}: ${match[0]}`],
      ),
    );
    expect(unknown).toEqual([]);
  });

  it('describes every method of the socket', () => {
    const text = pages.find(({ path }) => path === 'docs/reference/socket-protocol.md')?.text ?? '';
    expect(Object.keys(METHODS).filter((method) => !text.includes(`\`${method}\``))).toEqual([]);
  });
});
