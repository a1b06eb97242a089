import { expect, it } from 'vitest';
import { steady } from './steady.ts';
import { svgOf } from './svg.ts';
import { COLUMNS, screenOf } from './terminal.ts';

it('a line that was written over is shown as it ended, in its colours', async () => {
  const lines = await screenOf('\r\x1b[Klooking\r\x1b[K\x1b[1mnas\x1b[22m: \x1b[31mcertain\x1b[39m\r\n\r\n\x1b[2mwhy\x1b[22m\r\n\r\n');
  expect(lines).toEqual([
    [
      { text: 'nas', colour: null, bold: true, dim: false },
      { text: ': ', colour: null, bold: false, dim: false },
      { text: 'certain', colour: 1, bold: false, dim: false },
    ],
    [],
    [{ text: 'why', colour: null, bold: false, dim: true }],
  ]);
});

it('what is longer than the terminal goes on in the next line', async () => {
  const lines = await screenOf('x'.repeat(COLUMNS + 3));
  expect(lines.map((line) => line.map(({ text }) => text.length))).toEqual([[COLUMNS], [3]]);
});

it('texts stand in their columns, whatever the font, and are texts', async () => {
  const svg = svgOf('a "b" & c', await screenOf('  \x1b[32mok\x1b[39m   a <b> & "c"\r\n'));
  expect(svg).toContain('aria-label="a &quot;b&quot; &amp; c"');
  expect(svg).toContain('<text x="32.8" y="46" textLength="16.8" fill="#9ccc65">ok</text>');
  expect(svg).toContain('<text x="74.8" y="46" textLength="92.4">a &lt;b&gt; &amp; &quot;c&quot;</text>');
});

it('what differs from run to run is shown as one, and as long', () => {
  const run = (port: number, ms: number, time: string): string =>
    steady(
      `  ok  portal 127.0.0.1:${port}  in use\n  no  portal 127.0.0.2:9      away since ${time}\nat 127.0.0.1:${port}, answers within ${ms} ms\n`,
    );
  expect(run(34567, 3, '2026-11-25T13:05:13Z')).toBe(run(60001, 250, '2027-01-01T00:00:00Z'));
  const [used = '', away = ''] = run(34567, 3, '2026-11-25T13:05:13Z').split('\n');
  expect(used.indexOf('in use')).toBe(away.indexOf('away'));
});
