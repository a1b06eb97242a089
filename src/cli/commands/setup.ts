import { Option } from 'commander';
import * as z from 'zod';
import { StorageError } from '../../core/errors.ts';
import { ANSWERS, parseYamlAnswers, unusable } from '../../setup/answers.ts';
import type { Tell } from '../../setup/apply.ts';
import type { CommandDefinition } from '../command.ts';
import { CliFailure } from '../failure.ts';
import { EXIT, type ExitCode } from '../io.ts';
import { clean } from '../render/text.ts';
import { Interview } from '../setup/interview.ts';
import { openSetup } from '../setup/open-setup.ts';
import { PveNode } from '../setup/pve-node.ts';
import { remove, removalOf } from '../setup/run-removal.ts';
import { compare, NVME_NOTE, type SetupRun, setUp } from '../setup/run-setup.ts';
import { type CommandContext, type CommandRun, putJson } from './context.ts';
import { readConfig } from './read-config.ts';

const step = z.object({ state: z.enum(['there', 'made', 'undone', 'failed', 'note']), what: z.string() });
const call = z.object({ what: z.string(), method: z.string(), params: z.array(z.unknown()).readonly() });
const shape = z.object({
  storage: z.string(),
  mode: z.enum(['setup', 'check', 'dry-run', 'remove']),
  steps: z.array(step).describe('what was done, in order'),
  missing: z.array(z.string()).optional().describe('of check and dry-run: what is not there'),
  problems: z.array(z.string()).optional().describe('of check and dry-run: what setup would refuse to touch'),
  calls: z.array(call).optional().describe('of a dry run: every call that would change something'),
  stays: z.array(z.string()).optional().describe('of remove: what is left, and why'),
});
type Report = z.output<typeof shape>;

interface Options {
  readonly config?: string;
  readonly passwordFile?: string;
  readonly keyFile?: string;
  readonly pveDir: string;
  readonly dryRun?: true;
  readonly check?: true;
  readonly remove?: true;
  readonly yes?: true;
  readonly portal?: readonly string[];
  readonly node?: readonly string[];
  readonly nvmeHost?: readonly string[];
  readonly [answer: string]: unknown;
}

/** ms for a step of the probe disk */
const DISK_MS = 120_000;
/** Answers whose flag takes one value. */
const PLAIN = ['storage', 'host', 'port', 'fingerprint', 'admin', 'dataset', 'transport', 'target', 'user', 'initiator'] as const;

export const setupCommand: CommandDefinition = {
  path: 'setup',
  group: 'Set up:',
  description:
    'From an array with a pool to the first disk. Makes on TrueNAS what is missing and only that, adds the storage to PVE, and writes to a ' +
    'disk of 1 GiB. What others made is never changed; a run that was ended is taken up again, Ctrl-C takes back what was made. What is not ' +
    "given by file or flag is asked for. The administrator's password or key comes from PVE_TRUENAS_ADMIN_PASSWORD, PVE_TRUENAS_ADMIN_KEY or a " +
    'file, and is kept nowhere.',
  exits: {
    0: 'it is set up; of --check and --dry-run: nothing would be different',
    1: 'of --check and --dry-run: something would be different; the answer was no',
    2: 'it failed, was interrupted, or would have to change what others made',
  },
  examples: [
    { line: 'setup', what: 'ask for everything' },
    { line: 'setup --config answers.yaml --password-file /root/admin', what: 'set up what the file says' },
    { line: 'setup --config answers.yaml --key-file /root/key --dry-run', what: 'show every call, change nothing' },
    { line: 'setup --config answers.yaml --key-file /root/key --check', what: 'would anything be different?' },
    { line: 'setup --config answers.yaml --key-file /root/key --remove', what: 'take away what setup made, after asking' },
  ],
  json: shape,
  build: (command, runner) => {
    command
      .option('--config <FILE>', 'answers in YAML; a flag goes before it')
      .option('--password-file <FILE>', 'file with the password of the administrator; - is standard input')
      .option('--key-file <FILE>', 'file with an API key of the administrator; - is standard input')
      .option('--dry-run', 'show every call that would change something, and change nothing')
      .option('--check', 'tell what would be different, and change nothing')
      .option('--remove', 'take away what setup made for this storage and nobody uses')
      .option('--yes', 'ask nothing')
      .addOption(new Option('--pve-dir <DIR>', 'where the files of PVE are').default('/etc/pve'));
    for (const name of PLAIN) command.option(`--${name} <VALUE>`, ANSWERS[name].description ?? name);
    command
      .option('--portal <IP>', 'address of TrueNAS that serves iSCSI or NVMe/TCP; may be repeated', collect)
      .option('--multipath', ANSWERS.multipath.description)
      .option('--node <NODE=IQN>', 'iSCSI name of a node; may be repeated', collect)
      .option('--nvme-host <NODE=NQN>', 'NVMe name of a node; may be repeated', collect)
      .option('--no-probe', 'write to no disk at the end')
      .action((options: Options) => runner(command, setup(options)));
  },
};

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** `setup`, in one of its four modes. */
function setup(options: Options): CommandRun {
  return async (context) => {
    const interrupted = new AbortController();
    const leave = context.io.onInterrupt?.(() => {
      context.io.progress?.(null);
      interrupted.abort(new StorageError('SETUP_INTERRUPTED', 'setup was interrupted', { state: 'nothing was changed' }));
    });
    try {
      return await inMode(options, context, interrupted.signal);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      const { code, kind, message, causes, hints, state } = error;
      throw new CliFailure({ code, kind, message, causes, hints, ...(state === undefined ? {} : { state }) });
    } finally {
      context.io.progress?.(null);
      leave?.();
    }
  };
}

async function inMode(options: Options, context: CommandContext, stop: AbortSignal): Promise<ExitCode> {
  const { io, json } = context;
  const mode = modeOf(options);
  const pve = new PveNode(options.pveDir);
  const cluster = await pve.cluster();
  const interview = json || options.yes === true ? null : Interview.at(io, stop);
  const given = await givenAnswers(options);
  const { answers, fingerprint, array } = await openSetup({
    given,
    options,
    fromFile: options.config !== undefined,
    context,
    pve,
    cluster,
    interview,
    stop,
  });
  const report: Report = { storage: answers.storage, mode, steps: [] };
  const tell = teller(report, context);
  const owner = { storage: answers.storage, cluster: cluster.name };
  const daemon = { ...context.daemon, timeoutMs: Math.max(context.daemon.timeoutMs, DISK_MS) };
  const run: SetupRun = { answers, owner, array, fingerprint, pve, daemon, stop, tell };
  try {
    if (!json) io.out(`${clean(array.version)} at ${clean(answers.host)}, storage ${clean(answers.storage)}\n`);
    const exit = await MODES[mode]({ run, report, options, context, interview });
    if (json) putJson(io, report);
    return exit;
  } finally {
    array.close();
  }
}

function modeOf(options: Options): Report['mode'] {
  const modes: Report['mode'][] = [];
  if (options.dryRun === true) modes.push('dry-run');
  if (options.check === true) modes.push('check');
  if (options.remove === true) modes.push('remove');
  if (modes.length > 1) throw unusable('--dry-run, --check and --remove exclude each other');
  return modes[0] ?? 'setup';
}

/** Each step as a line, also into the report; what is being done only where it can be taken away again. */
function teller(report: Report, { io, json, colours }: CommandContext): Tell {
  return (state, what) => {
    io.progress?.(state === 'doing' ? what : null);
    if (state === 'doing') return;
    report.steps.push({ state, what });
    if (json) return;
    const word = state.padEnd(8);
    const colour = { there: colours.dim, made: colours.green, undone: colours.dim, failed: colours.red, note: colours.yellow }[state];
    io.out(`  ${colour(word)}  ${clean(what)}\n`);
  };
}

interface Work {
  readonly run: SetupRun;
  readonly report: Report;
  readonly options: Options;
  readonly context: CommandContext;
  readonly interview: Interview | null;
}
type Mode = (work: Work) => Promise<ExitCode>;

const look: Mode = async ({ run, report, context: { io, json } }) => {
  const { missing, problems, calls } = await compare(run);
  io.progress?.(null);
  Object.assign(report, { missing, problems, ...(report.mode === 'dry-run' ? { calls } : {}) });
  if (!json) {
    for (const what of missing) io.out(`  missing   ${clean(what)}\n`);
    for (const what of problems) io.out(`  problem   ${clean(what)}\n`);
    if (missing.length + problems.length === 0) io.out('  nothing would be different\n');
    if (report.mode === 'dry-run') for (const one of calls) io.out(`  call      ${one.method} ${clean(JSON.stringify(one.params))}\n`);
  }
  if (run.answers.transport === 'nvme-tcp') run.tell('note', NVME_NOTE);
  return problems.length > 0 ? EXIT.critical : missing.length > 0 ? EXIT.warning : EXIT.healthy;
};

const MODES: Readonly<Record<Report['mode'], Mode>> = {
  check: look,
  'dry-run': look,
  setup: async ({ run, context, interview }) => {
    if (interview?.asked === true && !(await wanted(run, interview, context))) return EXIT.warning;
    run.stop.addEventListener('abort', () => context.io.err('interrupted: ending the step under way\n'), { once: true });
    await setUp(run);
    const { storage, transport } = run.answers;
    if (!context.json && transport === 'iscsi') context.io.out(`The storage ${storage} is ready: pvesm alloc ${storage} VMID '' 32G\n`);
    return EXIT.healthy;
  },
  remove: async ({ run, report, options, context: { io, json }, interview }) => {
    const found = await removalOf(run);
    io.progress?.(null);
    report.stays = [...found.stays];
    const goes = [...(found.section === null ? [] : [`storage ${run.answers.storage} in PVE`]), ...found.removals.map(({ what }) => what)];
    if (!json) {
      if (found.problems.length === 0) for (const what of goes) io.out(`  goes      ${clean(what)}\n`);
      for (const what of found.stays) io.out(`  stays     ${clean(what)}\n`);
    }
    if (found.problems.length === 0 && options.yes !== true && !(await agrees(interview))) return EXIT.warning;
    await remove(run, found);
    return EXIT.healthy;
  },
};

/** Shows what would be made, and asks. Problems are told by setUp. */
async function wanted(run: SetupRun, interview: Interview, { io }: CommandContext): Promise<boolean> {
  const { missing, problems } = await compare(run);
  io.progress?.(null);
  if (problems.length > 0 || missing.length === 0) return true;
  interview.say(['This will be made:', ...missing.map((what) => `  ${clean(what)}`)].join('\n'));
  return interview.agrees('Go on?');
}

async function agrees(interview: Interview | null): Promise<boolean> {
  if (interview === null) throw unusable('nobody can be asked here: nothing was changed', ['--yes']);
  return interview.agrees('Remove it?');
}

/** From the file, with flags before it. */
async function givenAnswers(options: Options): Promise<Record<string, unknown>> {
  const given: Record<string, unknown> = options.config === undefined ? {} : { ...parseYamlAnswers(await readConfig(options.config)) };
  for (const name of PLAIN) if (options[name] !== undefined) given[name] = name === 'port' ? Number(options[name]) : options[name];
  if (options.portal !== undefined) given['portals'] = options.portal;
  if (options['multipath'] === true) given['multipath'] = true;
  if (options['probe'] === false) given['probe'] = false;
  if (options.node !== undefined) given['initiators'] = namesOf(options.node);
  if (options.nvmeHost !== undefined) given['hosts'] = namesOf(options.nvmeHost);
  return given;
}

/** `NODE=NAME` flags as a record. */
function namesOf(flags: readonly string[]): Record<string, string> {
  return Object.fromEntries(flags.map((flag) => flag.split(/=(.*)/s).slice(0, 2)).map(([node = '', name = '']) => [node, name]));
}
