/** Writes dist/man/*.scd, the sources of the man pages, and the completion files in dist/completion; after tools/build/bundle.ts. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import * as z from 'zod';
import { systemClock } from '../../src/core/system-clock.ts';
import { run } from '../../src/cli/program.ts';
import { manPages } from './pages.ts';
import { manSource } from './scdoc.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const DIST = join(ROOT, 'dist');

/** What `pve-truenas completion SHELL` prints. */
async function completion(shell: 'bash' | 'zsh'): Promise<string> {
  let text = '';
  const failures: string[] = [];
  const io = {
    out: (part: string) => void (text += part),
    err: (part: string) => void failures.push(part),
    isTerminal: false,
    env: {},
    clock: systemClock,
  };
  if ((await run(['completion', shell], io)) !== 0) throw new Error(`completion ${shell}: ${failures.join('')}`);
  return text;
}

async function write(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

const { version } = z.object({ version: z.string() }).parse(JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')));
await rm(join(DIST, 'man'), { recursive: true, force: true });
for (const page of manPages()) await write(join(DIST, 'man', `${page.name}.${page.section}.scd`), manSource(page, version));
await write(join(DIST, 'completion/bash/pve-truenas'), await completion('bash'));
await write(join(DIST, 'completion/zsh/_pve-truenas'), await completion('zsh'));
