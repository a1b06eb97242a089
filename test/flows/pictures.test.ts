import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { drawAll } from '../../tools/pictures/draw.ts';

it('the pictures in docs/pictures show what the commands show today: npx tsx tools/pictures/main.ts draws them anew', async () => {
  const drawn = await drawAll();
  for (const { path, svg } of drawn) expect(svg, path).toBe(await readFile(path, 'utf8'));
  expect(drawn.length).toBeGreaterThan(1);
});
