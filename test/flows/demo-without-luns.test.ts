import { spawn } from 'node:child_process';
import { access, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');

async function find(program: string): Promise<string> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, program);
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (there) return path;
  }
  throw new Error(`${program} is not installed`);
}

describe('the demo where no real LUNs are possible', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'demo-without-luns-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('names what it leaves out, runs the rest on memory-backed volumes and ends well', async () => {
    // A PATH with perl alone: no qemu-img, no iscsi-ls.
    await symlink(await find('perl'), join(folder, 'perl'));
    const demo = spawn(process.execPath, ['--import', 'tsx', 'tools/demo/main.ts'], {
      cwd: ROOT,
      env: { ...process.env, PATH: folder, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [demo.stdout, demo.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const status = await new Promise<number | null>((done, failed) => demo.once('error', failed).once('close', done));
    expect(status, output).toBe(0);
    expect(output).toContain('qemu-img');
    expect(output).toContain('memory-backed volumes');
    expect(output).toMatch(/- +write an ext4 image with files/);
    expect(output).toMatch(/ok +\d+ ms +the array is as empty as before/);
    expect(output).toMatch(/\d+ steps right, \d+ left out/);
  });
});
