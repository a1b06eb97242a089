import { Command, CommanderError } from 'commander';
import { VERSION } from '../src/core/version.ts';
import { addFaultCommand, UsageError } from './faults/fault-command.ts';
import { addRunOptions, runOptions } from './server/command-line.ts';
import { launchSimulator, type Simulator, type SimulatorOptions } from './server/launch.ts';

const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

function readyLine(simulator: Simulator): string {
  const { url, host, port, apiKey, username, caFile, fingerprint, portal, targetIqn, dataset, control, release, plainUrl } = simulator;
  return JSON.stringify({
    ...{ url, host, port, apiKey, username, caFile, fingerprint, portal, targetIqn, dataset, control, release },
    pid: process.pid,
    ...(plainUrl === null ? {} : { plainUrl }),
  });
}

/** What stands behind the portal. */
function exported({ blocks, vm }: SimulatorOptions): string {
  if (blocks === 'lab') return `ZFS, iSCSI and NVMe/TCP of the VM at ${vm ?? ''}`;
  if (blocks === 'tgt') return 'files, behind a tgtd of their own';
  return 'none: nothing is exported, the portal only answers';
}

function greeting(simulator: Simulator, options: SimulatorOptions): string {
  return [
    `pve-truenas-sim ${VERSION} is a TrueNAS ${simulator.release}, up at ${simulator.url}`,
    ...(simulator.plainUrl === null ? [] : [`  without TLS    ${simulator.plainUrl}`]),
    `  user           ${simulator.username}`,
    `  API key        ${simulator.apiKey}`,
    `  CA file        ${simulator.caFile}`,
    `  fingerprint    ${simulator.fingerprint}`,
    ...(simulator.dataset === null ? [] : [`  dataset        ${simulator.dataset}`]),
    ...(simulator.targetIqn === null ? [] : [`  target         ${simulator.targetIqn}`]),
    `  portal         ${[simulator.portal, ...(options.morePortals ?? [])].join(', ')}`,
    `  blocks         ${exported(options)}`,
    `  control        ${simulator.control}`,
    'Ctrl-C ends it.',
  ].join('\n');
}

/** Resolves at SIGINT or SIGTERM. */
function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}

async function run(raw: unknown): Promise<void> {
  let options;
  try {
    options = runOptions(raw, process.env);
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  // Heard from the start: a signal while starting must not leave a target daemon behind.
  const end = interrupted();
  const log = options.verbose ? (message: string): void => void process.stderr.write(`${message}\n`) : undefined;
  const simulator = await launchSimulator({ ...options.simulator, ...(log === undefined ? {} : { log }) });
  process.stdout.write(`${options.readyJson ? readyLine(simulator) : greeting(simulator, options.simulator)}\n`);
  await end;
  await simulator.stop();
}

function program(): Command {
  const command = new Command('pve-truenas-sim')
    .description('A simulated TrueNAS: JSON-RPC API over WebSocket, REST, real iSCSI LUNs on demand, faults')
    .version(VERSION)
    .showHelpAfterError('(--help shows the options)')
    .exitOverride()
    .configureHelp({ showGlobalOptions: false })
    .addHelpText(
      'after',
      '\nExit codes: 0 ended by a signal, 1 failure, 2 unusable arguments.\nFaults: pve-truenas-sim fault --help. All of it: sim/README.md.',
    );
  addRunOptions(command).action(async (raw: unknown) => run(raw));
  addFaultCommand(command, { out: (text) => void process.stdout.write(`${text}\n`) }, process.env);
  for (const sub of command.commands) for (const leaf of [sub, ...sub.commands]) leaf.exitOverride();
  return command;
}

async function main(): Promise<number> {
  try {
    await program().parseAsync(process.argv);
    return EXIT.ok;
  } catch (error) {
    // commander has said it already; help and version are no failures.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    process.stderr.write(`pve-truenas-sim: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UsageError ? EXIT.usage : EXIT.failure;
  }
}

process.exitCode = await main();
