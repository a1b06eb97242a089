import { SCENES } from './scenes.ts';
import { steady } from './steady.ts';
import { svgOf } from './svg.ts';
import { screenOf } from './terminal.ts';

interface Picture {
  /** From the repository's root. */
  readonly path: string;
  readonly svg: string;
}

/** All pictures, one scene after the other. */
export async function drawAll(): Promise<readonly Picture[]> {
  const pictures: Picture[] = [];
  for (const { name, title, play } of SCENES) {
    const lines = await screenOf(steady(await play()));
    pictures.push({ path: `docs/pictures/${name}.svg`, svg: svgOf(title, lines) });
  }
  return pictures;
}
