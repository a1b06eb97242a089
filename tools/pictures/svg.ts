import { COLUMNS, type Line, type Span } from './terminal.ts';

/** pixels */
const CHARACTER = 8.4;
const HEIGHT = 19;
const MARGIN = 16;
const BAR = 30;
const DEFAULT = '#d8dee9';
/** The terminal's colours that our programs use, light enough on the dark ground to be read. */
const COLOURS: Readonly<Record<number, string>> = { 1: '#f07178', 2: '#9ccc65', 3: '#ffcb6b', 4: '#82aaff', 5: '#c792ea', 6: '#89ddff' };

/** A picture of a terminal. The same lines give the same bytes. `title`: for those who do not see it, and in its bar. */
export function svgOf(title: string, lines: readonly Line[]): string {
  const width = COLUMNS * CHARACTER + 2 * MARGIN;
  const height = BAR + MARGIN + lines.length * HEIGHT + MARGIN / 2;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${width}" height="${height}" rx="8" fill="#1e222a"/>`,
    ...['#f07178', '#ffcb6b', '#9ccc65'].map((colour, at) => `<circle cx="${20 + at * 18}" cy="17" r="5.5" fill="${colour}"/>`),
    `<g font-family="ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace" font-size="14" fill="${DEFAULT}">`,
    ...lines.flatMap((line, at) => textsOf(line, BAR + MARGIN + at * HEIGHT)),
    '</g>',
    '</svg>',
  ].join('\n')}\n`;
}

/** One text for what stands together, held to its columns: another font must not shift the tables. */
function textsOf(line: Line, y: number): readonly string[] {
  const texts: string[] = [];
  let column = 0;
  for (const span of line) {
    for (const { 0: text, index } of span.text.matchAll(/\S+(?: \S+)*/g)) {
      const x = round(MARGIN + (column + index) * CHARACTER);
      texts.push(`<text x="${x}" y="${y}" textLength="${round(text.length * CHARACTER)}"${lookOf(span)}>${escaped(text)}</text>`);
    }
    column += span.text.length;
  }
  return texts;
}

function lookOf({ colour, bold, dim }: Span): string {
  const fill = colour === null ? undefined : COLOURS[colour % 8];
  return `${fill === undefined ? '' : ` fill="${fill}"`}${bold ? ' font-weight="bold"' : ''}${dim ? ' opacity="0.6"' : ''}`;
}

function round(pixels: number): number {
  return Math.round(pixels * 10) / 10;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
