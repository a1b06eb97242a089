import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { draw, pathOf } from '../../tools/pictures/draw.ts';
import { SCENES } from '../../tools/pictures/scenes.ts';

it.each(SCENES)('$name: its picture shows what the command shows today; npx tsx tools/pictures/main.ts draws it anew', async (scene) => {
  expect(await draw(scene)).toBe(await readFile(pathOf(scene), 'utf8'));
});
