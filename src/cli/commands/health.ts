import { METHODS, type Result } from '../../protocol/methods.ts';
import type { CommandDefinition } from '../command.ts';
import { EXIT } from '../io.ts';
import { clean, type Colours, stateWord } from '../render/text.ts';
import { askDaemon } from '../socket-client.ts';
import { storageArgument } from './arguments.ts';
import { type CommandRun, putJson } from './context.ts';

type Health = Result<'overview.health'>;
const EXIT_OF = { ok: EXIT.healthy, warning: EXIT.warning, critical: EXIT.critical } as const;

export const healthCommand: CommandDefinition = {
  path: 'health',
  group: 'See:',
  description: 'Every check of daemon and storages, with what cures it.',
  exits: { 0: 'all is fine', 1: 'a warning', 2: 'something is critical, or the daemon cannot be asked' },
  examples: [
    { line: 'health', what: 'daemon and all storages' },
    { line: 'health nas --json', what: 'one storage, for monitoring' },
  ],
  json: METHODS['overview.health'].result,
  build: (command, runner) =>
    command.addArgument(storageArgument()).action((storage: string | undefined) => runner(command, health(storage))),
};

/** `health [STORAGE]`: every check with what cures it. The exit code is the worst of them. */
function health(storage: string | undefined): CommandRun {
  return async ({ io, json, colours, daemon }) => {
    const report = await askDaemon(daemon, 'overview.health', storage === undefined ? {} : { storage_id: storage });
    if (json) putJson(io, report);
    else io.out(render(report, colours));
    return EXIT_OF[report.state];
  };
}

function render(report: Health, colours: Colours): string {
  const { version, open_operations: open } = report.daemon;
  const lines = [`pve-truenasd ${clean(version)}: ${stateWord(colours, report.state)}`];
  if (open > 0) lines.push(`  ${open} unfinished operation${open === 1 ? '' : 's'} to be settled`);
  for (const storage of report.storages) {
    lines.push('', `${colours.bold(clean(storage.id))}: ${stateWord(colours, storage.state)}`);
    const width = Math.max(0, ...storage.checks.map((check) => check.name.length));
    for (const check of storage.checks) {
      const word = `${stateWord(colours, check.state)}${' '.repeat('critical'.length - check.state.length)}`;
      lines.push(`  ${word}  ${clean(check.name).padEnd(width)}  ${clean(check.message)}`);
      if (check.cure !== undefined) lines.push(`  ${' '.repeat('critical'.length + width + 4)}cure: ${clean(check.cure)}`);
    }
  }
  if (report.storages.length === 0) lines.push('no storage of type truenasplugin is configured');
  return `${lines.join('\n')}\n`;
}
