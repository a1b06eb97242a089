import { readFile } from 'node:fs/promises';
import { Option } from 'commander';
import { z } from 'zod';
import { StorageError } from '../../core/errors.ts';
import { ANSWERS, type Answers, completeAnswers, parseYamlAnswers, unusable } from '../../setup/answers.ts';
import { type AdminCredential, certificateOf, openArray } from '../../setup/session.ts';
import type { Tell } from '../../setup/apply.ts';
import type { CommandDefinition } from '../command.ts';
import { CliFailure } from '../failure.ts';
import { EXIT, type ExitCode } from '../io.ts';
import { clean } from '../render/text.ts';
import { compare, remove, removalOf, type SetupRun, setUp } from '../setup/run-setup.ts';
import { PveNode } from '../setup/pve-node.ts';
import { type CommandContext, type CommandRun, putJson } from './context.ts';
import { readConfig } from './read-config.ts';

const step = z.object({ state: z.enum(['there', 'made', 'undone', 'failed']), what: z.string() });
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
  readonly [answer: string]: unknown;
}

/** Answers that have a flag of their own; the others are lists or switches. */
const PLAIN = ['storage', 'host', 'port', 'fingerprint', 'admin', 'dataset', 'target', 'user', 'initiator'] as const;

export const setupCommand: CommandDefinition = {
  path: 'setup',
  group: 'Set up:',
  description:
    'From an array with a pool to the first disk. Makes on TrueNAS what is missing and only that, adds the storage to PVE, and writes to a ' +
    'disk of 1 GiB. What others made is never changed; a run that was ended is taken up again, Ctrl-C takes back what was made. The ' +
    "administrator's password or key comes from PVE_TRUENAS_ADMIN_PASSWORD, PVE_TRUENAS_ADMIN_KEY or a file, and is kept nowhere.",
  exits: {
    0: 'it is set up; of --check: nothing would be different',
    1: 'of --check and --dry-run: something would be different; the answer was no',
    2: 'it failed, or would have to change what others made',
  },
  examples: [
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
      .option('--yes', 'do not ask')
      .addOption(new Option('--pve-dir <DIR>', 'where the files of PVE are').default('/etc/pve'));
    for (const name of PLAIN) command.option(`--${name} <VALUE>`, ANSWERS[name].description ?? name);
    command
      .option('--portal <IP>', 'address of TrueNAS that serves iSCSI; may be repeated', collect)
      .option('--node <NODE=IQN>', 'iSCSI name of a node; may be repeated', collect)
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
    const leave = context.io.onInterrupt?.(() => interrupted.abort());
    try {
      return await inMode(options, context, interrupted.signal);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      const { code, kind, message, causes, hints, state } = error;
      throw new CliFailure({ code, kind, message, causes, hints, ...(state === undefined ? {} : { state }) });
    } finally {
      leave?.();
    }
  };
}

async function inMode(options: Options, context: CommandContext, stop: AbortSignal): Promise<ExitCode> {
  const { io, json } = context;
  const mode = modeOf(options);
  const pve = new PveNode(options.pveDir);
  const cluster = await pve.cluster();
  const given = await givenAnswers(options, context);
  const answers = await withInitiators(completeAnswers(given), pve, cluster.nodes, cluster.node);
  const credential = await credentialOf(options, answers, context);
  const fingerprint = await trusted(answers, options, context, stop);
  const array = await openArray(answers, credential, fingerprint, io.clock, stop);
  const report: Report = { storage: answers.storage, mode, steps: [] };
  const tell: Tell = (state, what) => {
    report.steps.push({ state, what });
    if (!json) io.out(`  ${word(context, state)}  ${clean(what)}\n`);
  };
  const owner = { storage: answers.storage, cluster: cluster.name };
  const run: SetupRun = { answers, owner, array, fingerprint, pve, daemon: context.daemon, stop, tell };
  try {
    if (!json) io.out(`${clean(array.version)} at ${clean(answers.host)}, storage ${clean(answers.storage)}\n`);
    const exit = await MODES[mode](run, report, options, context);
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

type Mode = (run: SetupRun, report: Report, options: Options, context: CommandContext) => Promise<ExitCode>;

const look: Mode = async (run, report, _options, { io, json }) => {
  const { missing, problems, calls } = await compare(run);
  Object.assign(report, { missing, problems, ...(report.mode === 'dry-run' ? { calls } : {}) });
  if (!json) {
    for (const what of missing) io.out(`  missing   ${clean(what)}\n`);
    for (const what of problems) io.out(`  problem   ${clean(what)}\n`);
    if (missing.length + problems.length === 0) io.out('  nothing would be different\n');
    if (report.mode === 'dry-run') for (const one of calls) io.out(`  call      ${one.method} ${clean(JSON.stringify(one.params))}\n`);
  }
  return problems.length > 0 ? EXIT.critical : missing.length > 0 ? EXIT.warning : EXIT.healthy;
};

const MODES: Readonly<Record<Report['mode'], Mode>> = {
  check: look,
  'dry-run': look,
  setup: async (run) => {
    await setUp(run);
    return EXIT.healthy;
  },
  remove: async (run, report, options, context) => {
    const found = await removalOf(run);
    report.stays = [...found.stays];
    if (!context.json) {
      for (const { what } of found.removals) context.io.out(`  goes      ${clean(what)}\n`);
      for (const what of found.stays) context.io.out(`  stays     ${clean(what)}\n`);
    }
    if (options.yes !== true && !(await agrees('Remove it?', context))) return EXIT.warning;
    await remove(run, found);
    return EXIT.healthy;
  },
};

async function agrees(question: string, { io, json }: CommandContext): Promise<boolean> {
  if (io.ask === undefined || json) throw unusable('nobody can be asked here: nothing was changed', ['--yes']);
  return /^y(es)?$/i.test((await io.ask(`${question} [y/N] `)).trim());
}

/** A pinned fingerprint decides alone; a certificate that no CA vouches for is shown and asked about. */
async function trusted(answers: Answers, options: Options, context: CommandContext, stop: AbortSignal): Promise<string | null> {
  if (answers.fingerprint !== undefined) return answers.fingerprint;
  const shown = await certificateOf(answers, context.io.clock, stop);
  if (shown.trusted) return null;
  const about = `certificate of ${answers.host}: ${shown.subject}, valid to ${shown.validTo}\n  SHA-256 ${shown.fingerprint}`;
  if (context.io.ask === undefined || context.json || options.yes === true) {
    throw new StorageError('TLS_UNTRUSTED', `no CA vouches for the ${about}`, {
      hints: [`compare it in TrueNAS (System > General Settings > GUI SSL Certificate), then add: fingerprint: "${shown.fingerprint}"`],
    });
  }
  context.io.out(`${about}\n`);
  if (await agrees('Is this your TrueNAS?', context)) return shown.fingerprint;
  throw new StorageError('TLS_UNTRUSTED', 'the certificate was not accepted: nothing was sent');
}

/** From the file, with flags before it; what is missing is asked for at a terminal. */
async function givenAnswers(options: Options, context: CommandContext): Promise<Record<string, unknown>> {
  const given: Record<string, unknown> = options.config === undefined ? {} : { ...parseYamlAnswers(await readConfig(options.config)) };
  for (const name of PLAIN) if (options[name] !== undefined) given[name] = name === 'port' ? Number(options[name]) : options[name];
  if (Array.isArray(options['portal'])) given['portals'] = options['portal'];
  if (options['probe'] === false) given['probe'] = false;
  if (Array.isArray(options['node'])) {
    const pairs = options['node'].map((pair) => String(pair).split(/=(.*)/s).slice(0, 2));
    given['initiators'] = Object.fromEntries(pairs.map(([node = '', name = '']) => [node, name]));
  }
  const { io } = context;
  if (io.ask === undefined || context.json) return given;
  for (const name of ['host', 'dataset', 'storage', 'portals'] as const) {
    for (let tries = 0; given[name] === undefined; tries += 1) {
      if (tries === 3) throw unusable(`'${name}' was not answered`);
      const answer = (await io.ask(`${name} (${ANSWERS[name].description ?? ''}): `)).trim();
      const value = name === 'portals' ? answer.split(/[\s,]+/) : answer;
      const checked = ANSWERS[name].safeParse(value);
      if (checked.success) given[name] = value;
      else context.io.out(`  ${clean(checked.error.issues[0]?.message ?? 'that cannot be used')}\n`);
    }
  }
  return given;
}

/** This node's IQN is read; those of the others must be given, since no API of PVE tells them. */
async function withInitiators(answers: Answers, pve: PveNode, nodes: readonly string[], own: string): Promise<Answers> {
  const initiators = { ...answers.initiators };
  const read = initiators[own] === undefined ? await pve.initiator() : null;
  if (read !== null) initiators[own] = read;
  const unknown = nodes.filter((node) => initiators[node] === undefined);
  if (unknown.length > 0) {
    throw unusable(`the iSCSI names of these nodes are not known: ${unknown.join(', ')}`, [
      'on each of them: cat /etc/iscsi/initiatorname.iscsi',
      `--node ${unknown[0] ?? 'NODE'}=iqn..., or initiators in the file`,
    ]);
  }
  return { ...answers, initiators };
}

/** Never from an argument: these are visible to every user of the node. */
async function credentialOf(options: Options, { admin: username }: Answers, { io }: CommandContext): Promise<AdminCredential> {
  const given = [options.passwordFile, options.keyFile].filter((one) => one !== undefined);
  if (given.length > 1) throw unusable('--password-file and --key-file exclude each other');
  if (options.passwordFile !== undefined) return { username, password: await firstLine(options.passwordFile) };
  if (options.keyFile !== undefined) return { username, apiKey: await firstLine(options.keyFile) };
  const { PVE_TRUENAS_ADMIN_PASSWORD: password = '', PVE_TRUENAS_ADMIN_KEY: apiKey = '' } = io.env;
  if (password !== '') return { username, password };
  if (apiKey !== '') return { username, apiKey };
  if (io.askSecret !== undefined) return { username, password: await io.askSecret(`password of ${username} on TrueNAS: `) };
  throw unusable('no password or key of the administrator was given', ['PVE_TRUENAS_ADMIN_PASSWORD, --password-file or --key-file']);
}

async function firstLine(file: string): Promise<string> {
  try {
    const text = await readFile(file === '-' ? '/dev/stdin' : file, 'utf8');
    return text.split('\n', 1)[0]?.replace(/\r$/, '') ?? '';
  } catch (error) {
    throw unusable(`${clean(file)} cannot be read${error instanceof Error && 'code' in error ? ` (${String(error.code)})` : ''}`);
  }
}

function word({ colours }: CommandContext, state: Parameters<Tell>[0]): string {
  const text = state.padEnd(8);
  return state === 'failed' ? colours.red(text) : state === 'made' ? colours.green(text) : colours.dim(text);
}
