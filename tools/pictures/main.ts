import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { draw, pathOf } from './draw.ts';
import { SCENES } from './scenes.ts';

// npx tsx tools/pictures/main.ts [--check]: draws docs/pictures from the real commands, or fails when one of them shows what is no longer so. Needs dist/ (make build).
const check = process.argv.includes('--check');
const stale: string[] = [];
await mkdir('docs/pictures', { recursive: true });
for (const scene of SCENES) {
  const path = pathOf(scene);
  const svg = await draw(scene);
  const there = await readFile(path, 'utf8').catch(() => '');
  if (there === svg) continue;
  if (check) stale.push(path);
  else await writeFile(path, svg);
}
if (stale.length > 0) {
  process.stderr.write(`stale: ${stale.join(', ')}: run npx tsx tools/pictures/main.ts\n`);
  process.exitCode = 1;
}
