import type { Scene } from './scenes.ts';
import { steady } from './steady.ts';
import { svgOf } from './svg.ts';
import { screenOf } from './terminal.ts';

/** From the repository's root. */
export function pathOf({ name }: Scene): string {
  return `docs/pictures/${name}.svg`;
}

/** Plays a scene and draws what the terminal shows at its end. */
export async function draw({ title, play }: Scene): Promise<string> {
  return svgOf(title, await screenOf(steady(await play())));
}
