import { describe, expect, it } from 'vitest';
import { deadlineAfter } from '../core/deadline.ts';
import { systemClock } from '../core/system-clock.ts';
import { NodeCommands } from './commands.ts';

const commands = new NodeCommands();
const deadline = deadlineAfter(systemClock, 60_000, 'test');

describe('NodeCommands', () => {
  it('hands arguments over as they are: no shell, fixed language and path, input on stdin', async () => {
    const hostile = '$(touch /tmp/x); `id` "\'\n*';
    const echoed = await commands.run(['printf', '%s', hostile], { deadline });
    expect(echoed).toEqual({ stdout: hostile, stderr: '', exitCode: 0 });
    const environment = await commands.run(['env'], { deadline });
    expect(environment.stdout.trim().split('\n').sort()).toEqual([
      'LANG=C',
      'LC_ALL=C',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ]);
    await expect(commands.run(['cat'], { deadline, input: 'hello' })).resolves.toMatchObject({ stdout: 'hello' });
    await expect(commands.run(['true'], { deadline, input: 'x'.repeat(1_000_000) })).resolves.toMatchObject({ exitCode: 0 });
  });

  it('judges exit codes', async () => {
    await expect(commands.run(['sh', '-c', 'echo why >&2; exit 3'], { deadline })).rejects.toMatchObject({
      code: 'HOST_COMMAND',
      message: 'sh failed (exit code 3): why',
      facts: { exitCode: 3 },
    });
    await expect(commands.run(['sh', '-c', 'exit 3'], { deadline, okExitCodes: [0, 3] })).resolves.toMatchObject({ exitCode: 3 });
    await expect(commands.run(['sh', '-c', 'exit 77'], { deadline, okExitCodes: 'any' })).resolves.toMatchObject({ exitCode: 77 });
    await expect(commands.run(['sh', '-c', 'kill -9 $$'], { deadline, okExitCodes: 'any' })).rejects.toMatchObject({
      code: 'HOST_COMMAND',
      message: expect.stringContaining('SIGKILL') as string,
    });
  });

  it('names the package of a program that is missing', async () => {
    const lost = new NodeCommands({ PATH: '/nonexistent' });
    await expect(lost.run(['iscsi-inq', 'x'], { deadline })).rejects.toMatchObject({
      code: 'HOST_COMMAND',
      message: 'iscsi-inq is not installed on this node',
      hints: ['apt install libiscsi-bin'],
    });
  });

  it('bounds the output', async () => {
    const { stdout } = await commands.run(['head', '-c', '5000000', '/dev/zero'], { deadline });
    expect(stdout.length).toBe(1024 * 1024);
  });

  it('ends the program when its deadline aborts, and starts none after that', async () => {
    const controller = new AbortController();
    const cut = { signal: controller.signal, remaining: () => 1000 };
    const running = commands.run(['sleep', '1000'], { deadline: cut });
    setImmediate(() => controller.abort(new Error('too late')));
    await expect(running).rejects.toThrow('too late');
    await expect(commands.run(['true'], { deadline: cut })).rejects.toThrow('too late');
  });
});
