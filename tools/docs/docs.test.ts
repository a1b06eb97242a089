import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import { ERROR_CATALOGUE } from '../../src/core/error-catalogue.ts';
import { METRICS } from '../../src/core/metrics.ts';
import { SETTINGS } from '../../src/config/schema.ts';
import { METHODS } from '../../src/protocol/methods.ts';
import { anchorsOf, deadLinks, type MarkdownPage } from './check-links.ts';
import { unknownCodes, unknownCommands, unknownMetrics, unknownSettings } from './check-names.ts';
import { PAGES } from './pages.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** Folders with pages for people; what lies deeper in them counts, too. */
const FOLDERS = ['docs', 'sim', 'monitoring', 'test', 'perl'];

function markdownBelow(folder: string): string[] {
  if (!existsSync(join(ROOT, folder))) return [];
  const names = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.md')).map((name) => `${folder}/${name}`);
}

const paths = [...readdirSync(ROOT).filter((name) => name.endsWith('.md')), ...FOLDERS.flatMap(markdownBelow)];
const pages: readonly MarkdownPage[] = paths.map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
const program = buildProgram(() => Promise.resolve());

function textOf(path: string): string {
  const page = pages.find((one) => one.path === path);
  if (page === undefined) throw new Error(`there is no ${path}`);
  return page.text;
}

/** The text of a file, '' for a folder, null for nothing, as deadLinks asks for it. */
function read(path: string): string | null {
  const full = join(ROOT, path);
  if (!existsSync(full)) return null;
  return statSync(full).isDirectory() ? '' : readFileSync(full, 'utf8');
}

/** What an error tells its users to do is checked like a page. */
const ADVICE: MarkdownPage = {
  path: 'src/core/error-catalogue.ts',
  text: Object.values(ERROR_CATALOGUE)
    .flatMap(({ hints }) => hints.map((hint) => `\`${hint}\`\n`))
    .join(''),
};

describe('the pages', () => {
  it.each(PAGES)('$path is what its generator makes', ({ path, make }) => {
    expect(readFileSync(join(ROOT, path), 'utf8'), 'run npx tsx tools/docs/main.ts').toBe(make());
  });

  it('are all there to be checked', () => {
    expect(paths).toEqual(
      expect.arrayContaining(['README.md', 'ARCHITECTURE.md', 'docs/README.md', 'sim/README.md', 'test/README.md', 'perl/t/README.md']),
    );
  });

  it('have no dead link', () => {
    expect(deadLinks(pages, read)).toEqual([]);
  });

  it('below docs/ stand in its index', () => {
    const index = textOf('docs/README.md');
    const missing = paths.filter(
      (path) => path.startsWith('docs/') && path !== 'docs/README.md' && !index.includes(`(${path.slice('docs/'.length)})`),
    );
    expect(missing).toEqual([]);
  });

  it.each([...pages, ADVICE])('$path names no setting, code, metric or command that does not exist', (page) => {
    expect({
      settings: unknownSettings(page),
      codes: unknownCodes(page),
      metrics: unknownMetrics(page.text),
      commands: unknownCommands(page, program),
    }).toEqual({ settings: [], codes: [], metrics: [], commands: [] });
  });
});

describe('the reference leaves nothing out', () => {
  it.each([
    ['settings.md', SETTINGS.flatMap(({ name, aliases }) => [name, ...aliases])],
    ['metrics.md', Object.keys(METRICS)],
    ['socket-protocol.md', Object.keys(METHODS)],
  ])('%s', (page, names) => {
    const text = textOf(`docs/reference/${page}`);
    expect(names.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });

  it('errors.md has a heading for every code', () => {
    const anchors = anchorsOf(textOf('docs/reference/errors.md'));
    expect(Object.keys(ERROR_CATALOGUE).filter((code) => !anchors.has(code.toLowerCase()))).toEqual([]);
  });
});
