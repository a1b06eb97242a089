import { hostname } from 'node:os';
import { Option } from 'commander';
import * as z from 'zod';
import { supportArchive } from '../../doctor/bundle/bundle.ts';
import { type DoctorReport, examineNode } from '../../doctor/doctor.ts';
import { nodePorts } from '../../doctor/node-ports.ts';
import { type AskDaemon, DaemonSilent, type DoctorPorts } from '../../doctor/ports.ts';
import type { CommandDefinition } from '../command.ts';
import { CliFailure, failure } from '../failure.ts';
import { EXIT } from '../io.ts';
import { renderDoctor } from '../render/doctor.ts';
import { coloursFor } from '../render/text.ts';
import { askDaemon } from '../socket-client.ts';
import { storageArgument } from './arguments.ts';
import { type CommandContext, type CommandRun, putJson } from './context.ts';
import { createPrivately, writeAndClose } from './private-file.ts';

interface Options {
  readonly probe?: true;
  readonly bundle?: string;
  readonly root: string;
  readonly node: string;
}

const EXIT_OF = { ok: EXIT.healthy, skipped: EXIT.healthy, warning: EXIT.warning, error: EXIT.critical } as const;

const state = z.enum(['ok', 'warning', 'error', 'skipped']);
const json = z.object({
  state: state.describe('the worst of all checks'),
  node: z.string(),
  version: z.string(),
  subjects: z.array(
    z.object({
      storage: z.string().nullable().describe('null: checks of the node itself'),
      state,
      checks: z.array(
        z.object({
          name: z.string(),
          state: state.describe('skipped: was not looked at, `seen` says why'),
          seen: z.string(),
          cure: z.string().optional(),
        }),
      ),
    }),
  ),
  bundle: z
    .object({ file: z.string(), files: z.array(z.string()), removed: z.int().describe('places from which a secret was removed') })
    .optional()
    .describe('the support archive that was written'),
});

export const doctorCommand: CommandDefinition = {
  path: 'doctor',
  group: 'Check:',
  description:
    'Looks at everything between this node and TrueNAS, with what cures it: names, routes, MTU, certificate, clocks, roles, service, pool, target, portals, sessions, paths, multipath, LVM, versions in the cluster. It changes nothing unless --probe is given, needs no daemon, and waits for nothing longer than 20 seconds. As another user than root it says what it could not see.',
  exits: { 0: 'all is fine', 1: 'warnings', 2: 'errors' },
  examples: [
    { line: 'doctor', what: 'this node and all its storages' },
    { line: 'doctor nas --json', what: 'this node and one storage, for scripts' },
    { line: 'doctor nas --probe', what: 'also make, attach, write, read and free a disk of 1 GiB' },
    { line: 'doctor --bundle support.tar.gz', what: 'the same in an archive to hand on, with logs, without secrets' },
  ],
  json,
  build: (command, runner) =>
    command
      .addArgument(storageArgument())
      .option('--probe', 'make a disk of 1 GiB on each storage, attach it, write, read, free it')
      .option('--bundle <FILE>', 'write a support archive (tar.gz) without secrets; the file must not exist')
      .addOption(new Option('--root <DIR>', 'where the files of the node are, for a system that is mounted somewhere').default('/'))
      .addOption(new Option('--node <NAME>', 'name of this node').default(hostname().split('.')[0] ?? 'localhost', 'the host name'))
      .action((storage: string | undefined, options: Options) => runner(command, doctor(storage, options))),
};

/** `doctor [STORAGE] [--probe] [--bundle FILE]`. */
function doctor(storage: string | undefined, options: Options): CommandRun {
  return (context) => examine(context, storage, options, portsOf(context, options));
}

async function examine(context: CommandContext, storage: string | undefined, options: Options, ports: DoctorPorts): ReturnType<CommandRun> {
  const { io, colours } = context;
  // before anything is looked at: a minute of work for an archive that cannot be written helps nobody
  const file = options.bundle === undefined ? null : await createPrivately(options.bundle);
  const interrupted = new AbortController();
  const leave = io.onInterrupt?.(() => interrupted.abort(failure('DEADLINE', 'interrupted by Ctrl-C')));
  const request = {
    ...(storage === undefined ? {} : { storage }),
    probe: options.probe === true,
    stop: interrupted.signal,
    progress: (text: string) => io.progress?.(text),
  };
  let report: DoctorReport;
  let bundle: { file: string; files: readonly string[]; removed: number } | undefined;
  try {
    report = await examineNode(ports, request);
    if (file !== null) {
      io.progress?.('collecting the support archive');
      const { data, files, removed } = await supportArchive(ports, report, renderDoctor(report, coloursFor(false)), interrupted.signal);
      await writeAndClose(file, data);
      bundle = { file: file.path, files, removed };
    }
  } catch (thrown) {
    await file?.discard();
    throw thrown;
  } finally {
    leave?.();
    io.progress?.(null);
  }
  if (context.json) putJson(io, bundle === undefined ? report : { ...report, bundle });
  else {
    io.out(renderDoctor(report, colours));
    if (bundle !== undefined)
      io.out(`\n${bundle.file}: ${bundle.files.length} files, ${bundle.removed} secrets removed; look through it before you hand it on\n`);
  }
  return EXIT_OF[report.state];
}

function portsOf({ io, daemon }: CommandContext, { root, node }: Options): DoctorPorts {
  const ask: AskDaemon = async (method, params, ms) => {
    try {
      return await askDaemon({ ...daemon, timeoutMs: ms }, method, params);
    } catch (thrown) {
      if (!(thrown instanceof CliFailure)) throw thrown;
      const { message, hints, causes } = thrown.facts;
      throw new DaemonSilent(message, hints[0] ?? causes[0] ?? 'journalctl -u pve-truenasd');
    }
  };
  return nodePorts({ clock: io.clock, node, isRoot: process.geteuid?.() === 0, root, askDaemon: ask });
}
