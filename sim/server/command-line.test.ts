import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { addRunOptions, type RunOptions, runOptions } from './command-line.ts';

/** What these words on the command line come to. */
function options(...words: readonly string[]): RunOptions {
  const command = addRunOptions(new Command().exitOverride().configureOutput({ writeErr: () => undefined }));
  return runOptions(command.parse(words, { from: 'user' }).opts(), {});
}

describe('--blocks and --portal', () => {
  it('are memory and a free port of this machine by default', () => {
    expect(options().simulator).toMatchObject({ blocks: 'memory', portal: { host: '127.0.0.1', port: 0 }, morePortals: [] });
  });

  it('take more than one address inside a VM of the lab', () => {
    const { simulator } = options('--blocks', 'lab', '--vm', '/run/st', '--portal', '10.77.0.10:3260', '--portal', '[::1]:3260');
    expect(simulator).toMatchObject({ vm: '/run/st', portal: { host: '10.77.0.10', port: 3260 }, morePortals: ['::1'] });
  });

  it.each([
    ['--blocks lab and --vm DIR go together', ['--blocks', 'lab']],
    ['--blocks lab and --vm DIR go together', ['--vm', '/run/st']],
    ['--portal more than once needs --blocks lab', ['--portal', '127.0.0.1:1', '--portal', '127.0.0.2:1']],
    ['one port for all its portals', ['--blocks', 'lab', '--vm', 'd', '--portal', '127.0.0.1:1', '--portal', '127.0.0.2:2']],
    ['must be HOST:PORT', ['--portal', '127.0.0.1']],
    ['must be HOST:PORT', ['--portal', '127.0.0.1:65536']],
  ])('say %s', (text, words) => {
    expect(() => options(...words)).toThrow(text);
  });
});
