import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from './run-command.ts';

describe('runCommand', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'run-command-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it('gives exit status and both outputs, and writes them to the log', async () => {
    const logFile = join(folder, 'log');
    const script = 'echo $COLOUR; echo two >&2; exit 3';
    const result = await runCommand({
      argv: ['sh', '-c', script],
      env: { COLOUR: 'red' },
      limit: AbortSignal.timeout(60_000),
      logFile,
    });
    expect(result).toMatchObject({ status: 3, timedOut: false });
    expect(result.output).toContain('red\n');
    expect(result.output).toContain('two\n');
    expect(await readFile(logFile, 'utf8')).toBe(result.output);
  });

  it('has status null for a program that is not there', async () => {
    const result = await runCommand({ argv: [join(folder, 'absent')], limit: AbortSignal.timeout(60_000), logFile: join(folder, 'log') });
    expect(result.status).toBeNull();
    expect(result.output).toContain('cannot start');
  });

  it('ends a command that takes too long, with its children, although they ignore SIGTERM', async () => {
    // An ignored signal is inherited: neither the shell nor its child ends by SIGTERM.
    const script = "trap '' TERM; sh -c 'echo pid $$ is up; while :; do sleep 1000; done' & wait";
    const limit = new AbortController();
    let pid = 0;
    const onOutput = (text: string): void => {
      const match = /pid (\d+) is up/.exec(text);
      if (match === null) return;
      pid = Number(match[1]);
      limit.abort();
    };
    const command = {
      argv: ['sh', '-c', script] as const,
      limit: limit.signal,
      killAfterMs: 10,
      logFile: join(folder, 'log'),
      onOutput,
    };
    expect(await runCommand(command)).toMatchObject({ status: null, timedOut: true });
    expect(pid).toBeGreaterThan(0);
    // A dead process may wait for init to take note of it; it is a zombie then.
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => 'gone');
    expect(stat).toMatch(/^gone$|^\d+ \(.*\) [ZX] /);
  });
});
