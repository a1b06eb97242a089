import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');

interface Ended {
  readonly status: number | null;
  readonly output: string;
}

describe('Ctrl-C in the demo', () => {
  let temporary = '';
  beforeEach(async () => {
    temporary = await mkdtemp(join(tmpdir(), 'demo-interrupt-'));
  });
  afterEach(async () => {
    await rm(temporary, { recursive: true, force: true });
  });

  /** Starts the demo with a temporary directory of its own and interrupts it as soon as it prints `line`. */
  function interruptedAt(line: string): Promise<Ended> {
    return new Promise((done, failed) => {
      const env = { ...process.env, TMPDIR: temporary };
      const demo: ChildProcess = spawn(process.execPath, ['--import', 'tsx', 'tools/demo/main.ts'], {
        cwd: ROOT,
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      });
      let output = '';
      let sent = false;
      const take = (chunk: Buffer): void => {
        output += chunk.toString('utf8');
        if (sent || !output.includes(line) || demo.pid === undefined) return;
        sent = true;
        process.kill(-demo.pid, 'SIGINT'); // the whole group, as a terminal does
      };
      demo.stdout?.on('data', take);
      demo.stderr?.on('data', take);
      demo.once('error', failed);
      demo.once('close', (status) => done({ status, output }));
    });
  }

  /** Processes that name our temporary directory in their arguments or environment. */
  async function processesLeft(): Promise<readonly string[]> {
    const left: string[] = [];
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      if (command.includes(temporary) || environment.includes(temporary)) left.push(`${pid} ${command.replaceAll('\0', ' ')}`);
    }
    return left;
  }

  async function mountsLeft(): Promise<readonly string[]> {
    return (await readFile('/proc/self/mounts', 'utf8')).split('\n').filter((line) => line.includes(temporary));
  }

  it.each(['Simulator and daemon', 'start the daemon', 'add the storage', 'activate and path', 'roll back'])(
    'right after "%s" leaves no process, socket, target, mount or file',
    async (line) => {
      const { status, output } = await interruptedAt(line);
      expect(output).toContain('SIGINT: cleaning up');
      expect(output).not.toContain('WRONG');
      expect(status).toBe(130);
      expect(await processesLeft()).toEqual([]);
      expect(await mountsLeft()).toEqual([]);
      // tsx keeps its cache there
      expect((await readdir(temporary)).filter((name) => !name.startsWith('tsx-'))).toEqual([]);
    },
  );
});
