import * as z from 'zod';
import { METHODS, type Result } from '../../protocol/methods.ts';
import type { CommandDefinition } from '../command.ts';
import { failure } from '../failure.ts';
import { EXIT, type ExitCode } from '../io.ts';
import { storageArgument } from './arguments.ts';
import { type CommandContext, type CommandRun, putJson } from './context.ts';
import { askDaemon } from '../socket-client.ts';
import { renderCleaned, renderPlan, renderReport } from '../render/orphans.ts';
import { type Cleaned, cleanAll, cleaned, planOf } from './orphans-clean.ts';

type Report = Result<'overview.orphans'>;

interface Options {
  readonly clean?: true;
  readonly yes?: true;
  readonly includeVolumes?: true;
}

export const orphansCommand: CommandDefinition = {
  path: 'orphans',
  group: 'Clean up:',
  description:
    'Extents, LUNs, zvols, namespaces and links that nothing uses any more. Without --clean nothing is changed; with it, what is certain is ' +
    'shown, asked about and deleted, one by one, each judged anew right before.',
  exits: {
    0: 'there are none',
    1: 'there are some, or some are left after a clean-up',
    2: 'a storage could not be looked at, or a deletion failed',
  },
  examples: [
    { line: 'orphans', what: 'all storages and this node' },
    { line: 'orphans nas --json', what: 'one storage, for scripts' },
    { line: 'orphans nas --clean', what: 'show what is certain, ask, and delete it' },
    { line: 'orphans --clean --yes', what: 'the same without asking, never data' },
  ],
  json: METHODS['overview.orphans'].result.extend({ cleaned: z.array(cleaned).optional() }),
  build: (command, runner) =>
    command
      .addArgument(storageArgument())
      .option('--clean', 'delete what is certain, after asking')
      .option('--yes', 'with --clean: do not ask')
      .option('--include-volumes', 'with --clean: also zvols that an operation or a backup left, with their data')
      .action((storage: string | undefined, options: Options) => runner(command, orphans(storage, options))),
};

/** `orphans [STORAGE] [--clean [--yes] [--include-volumes]]`. */
function orphans(storage: string | undefined, options: Options): CommandRun {
  return async (context) => {
    assertUsable(options, context);
    const { io, json, daemon } = context;
    io.progress?.('looking for orphans');
    const report = await askDaemon(daemon, 'overview.orphans', storage === undefined ? {} : { storage_id: storage }).finally(() =>
      io.progress?.(null),
    );
    if (!json) io.out(renderReport(report, context.colours));
    const done = options.clean === true ? await cleanUp(report, options.includeVolumes === true, options.yes === true, context) : null;
    if (json) putJson(io, done === null ? report : { ...report, cleaned: done });
    return exitOf(report, done ?? []);
  };
}

/** Nothing is asked of the daemon when the flags do not fit. Errors: BAD_REQUEST (exit 3). */
function assertUsable(options: Options, { io, json }: CommandContext): void {
  if (options.clean !== true && (options.yes === true || options.includeVolumes === true))
    throw failure('BAD_REQUEST', '--yes and --include-volumes go with --clean', { causes: [], hints: ['pve-truenas orphans --help'] });
  if (options.clean === true && options.yes !== true && (io.ask === undefined || json))
    throw failure('BAD_REQUEST', 'nobody can be asked here whether to delete: nothing was changed', {
      causes: [json ? '--json leaves no room for a question' : 'this is no terminal'],
      hints: ['pve-truenas orphans --clean --yes', 'pve-truenas orphans, to see what would be deleted'],
    });
}

/** Shows the plan, asks, deletes. Null results never: an empty list when there is nothing to do or the answer is no. */
async function cleanUp(report: Report, includeVolumes: boolean, yes: boolean, context: CommandContext): Promise<readonly Cleaned[]> {
  const { io, json, colours } = context;
  const plan = planOf(report, includeVolumes);
  if (!json) io.out(renderPlan(plan, report, includeVolumes, colours));
  if (plan.length === 0) return [];
  if (!yes) {
    const answer = (await io.ask?.(`Delete ${plan.length === 1 ? 'it' : `these ${plan.length}`}? [y/N] `)) ?? '';
    if (!/^y(es)?$/i.test(answer.trim())) {
      io.out('nothing was changed\n');
      return [];
    }
  }
  return cleanAll(plan, includeVolumes, context, (one) => {
    if (!json) io.out(renderCleaned(one, colours));
  });
}

function exitOf(report: Report, done: readonly Cleaned[]): ExitCode {
  const failed = report.storages.some((storage) => !storage.complete) || done.some((one) => one.outcome === 'failed');
  if (failed) return EXIT.critical;
  const found = report.storages.reduce((sum, storage) => sum + storage.orphans.length, report.node.orphans.length);
  const gone = done.filter((one) => one.outcome === 'deleted' || one.outcome === 'gone').length;
  return found > gone ? EXIT.warning : EXIT.healthy;
}
