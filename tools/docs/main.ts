import { readFile, writeFile } from 'node:fs/promises';
import { PAGES } from './pages.ts';

// npx tsx tools/docs/main.ts [--check]: writes the generated pages, or fails when one of them is stale
const check = process.argv.includes('--check');
const stale: string[] = [];
for (const { path, make } of PAGES) {
  const wanted = make();
  const there = await readFile(path, 'utf8').catch(() => '');
  if (there === wanted) continue;
  if (check) stale.push(path);
  else await writeFile(path, wanted);
}
if (stale.length > 0) {
  process.stderr.write(`stale: ${stale.join(', ')}: run npx tsx tools/docs/main.ts\n`);
  process.exitCode = 1;
}
