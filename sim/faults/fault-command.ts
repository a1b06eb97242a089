import type { Command } from 'commander';
import * as z from 'zod';
import { controlCall } from './control-client.ts';
import { controlRequest, type ControlInput } from './control-protocol.ts';

const connection = z.object({ control: z.string().optional(), json: z.boolean().default(false) });

/** Where the fault subcommands write; the exit code is set by the caller. */
export interface CommandOutput {
  out(text: string): void;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError('a fault must be a JSON object in quotes');
  }
}

function positive(text: string): number {
  const value = Number(text);
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`must be a whole number, not ${text}`);
  return value;
}

function onOff(word = 'on'): boolean {
  if (word !== 'on' && word !== 'off') throw new UsageError(`must be on or off, not ${word}`);
  return word === 'on';
}

/** The arguments that were given: commander passes undefined for optional ones that were not. */
function given(args: readonly unknown[]): string[] {
  return args.filter((arg) => arg !== undefined).map(String);
}

function show(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return 'done';
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map((item) => JSON.stringify(item)).join('\n');
  if (typeof value === 'object') {
    const lines = Object.entries(value).map(([name, item]) => `${name}: ${JSON.stringify(item)}`);
    return lines.length === 0 ? 'none' : lines.join('\n');
  }
  return JSON.stringify(value);
}

/** `pve-truenas-sim fault ...`: the client of the control socket. */
export function addFaultCommand(program: Command, output: CommandOutput, environment: NodeJS.ProcessEnv): void {
  const fault = program.command('fault').description('talk to a running simulator: faults, call counts, keys, clock');
  const send = async (command: Command, request: unknown): Promise<void> => {
    const options = connection.parse(command.optsWithGlobals());
    const path = options.control ?? environment['TRUENAS_SIM_CONTROL'];
    if (path === undefined) throw new UsageError('say which simulator: --control PATH or TRUENAS_SIM_CONTROL');
    const parsed = controlRequest.safeParse(request);
    if (!parsed.success) throw new UsageError(z.prettifyError(parsed.error));
    const result = await controlCall(path, request as ControlInput);
    output.out(options.json ? JSON.stringify(result) : show(result));
  };
  const add = (usage: string, description: string, request: (...args: (string | undefined)[]) => unknown): Command => {
    const command = fault
      .command(usage)
      .description(description)
      .option('--control <path>', 'control socket of the simulator (default: $TRUENAS_SIM_CONTROL)')
      .option('--json', 'print the answer as JSON');
    return command.action(async (...args: unknown[]) => {
      await send(command, request(...given(args.slice(0, command.registeredArguments.length))));
    });
  };
  add('add <json>', 'add a fault, such as \'{"method":"iscsi.extent.create","fault":"cut-after","nth":2}\'', (json = '') => ({
    command: 'add',
    fault: parseJson(json),
  }));
  add('list', 'the faults in force', () => ({ command: 'list' }));
  add('remove <id>', 'take one fault away', (id = '') => ({ command: 'remove', id: positive(id) }));
  add('clear', 'take all faults away', () => ({ command: 'clear' }));
  add('calls', 'API calls per method since the start or the last reset', () => ({ command: 'calls' }));
  add('reset-calls', 'start counting anew', () => ({ command: 'reset-calls' }));
  add('reset-rate-limit', 'forget the counted calls before login', () => ({ command: 'reset-rate-limit' }));
  add('sessions', 'who is logged in', () => ({ command: 'sessions' }));
  add(
    'pool-status <status> [detail]',
    'make the pool DEGRADED, FAULTED, ONLINE, ..., with the sentence that TrueNAS shows',
    (status, detail) => ({
      command: 'pool-status',
      status: status?.toUpperCase(),
      ...(detail === undefined ? {} : { detail }),
    }),
  );
  add(
    'session-add <target> <initiator> [address]',
    'log an initiator in to a target (memory blocks), a host (NQN) to a subsystem',
    (target, initiator, address) => ({
      command: 'session-add',
      target,
      initiator,
      ...(address === undefined ? {} : { address }),
    }),
  );
  add('session-remove <target> <initiator>', 'log it out again', (target, initiator) => ({ command: 'session-remove', target, initiator }));
  add('dataset-lock <dataset> [on|off]', 'the dataset is encrypted and locked', (dataset, word) => ({
    command: 'dataset-lock',
    dataset,
    locked: onOff(word),
  }));
  add('zvol-busy <zvol> [on|off]', 'something on the array keeps a zvol open', (zvol, word) => ({
    command: 'zvol-busy',
    zvol,
    busy: onOff(word),
  }));
  add('reload-fails [on|off]', 'reloading the iSCSI service fails (errno 202)', (word) => ({
    command: 'reload-fails',
    fails: onOff(word),
  }));
  add('state', 'everything that the array holds', () => ({ command: 'state' }));
  add('revoke-key <id>', 'revoke an API key', (id = '') => ({ command: 'revoke-key', id: positive(id) }));
  add('create-key <username> <roles>', 'a key for a user with these roles, separated by commas', (username = '', roles = '') => ({
    command: 'create-key',
    username,
    roles: roles.split(',').filter((role) => role !== ''),
  }));
  add('clock-advance <ms>', "move the simulator's clock forward", (ms = '') => ({ command: 'clock-advance', ms: positive(ms) }));
  add('ping', 'is it up', () => ({ command: 'ping' }));
}

/** Unusable arguments: exit code 2. */
export class UsageError extends Error {}
