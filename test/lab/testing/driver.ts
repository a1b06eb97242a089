/**
 * Runs inside a VM of the lab, bundled to one file: the daemon's own code for a node's side of a LUN, against the node's real programs.
 * Arguments: two FIFOs. What is written into the first one, whole, is ORDERS as JSON; the answer is one line in the second one, a JSON
 * array of the outcomes. Nothing is remembered but what the daemon's code itself remembers.
 */
import { execFile } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { withDeadline } from '../../../src/core/deadline.ts';
import { asStorageError } from '../../../src/core/errors.ts';
import { NO_METER } from '../../../src/core/metrics.ts';
import type { Log } from '../../../src/core/ports.ts';
import { systemClock } from '../../../src/core/system-clock.ts';
import { resolveHost } from '../../../src/host/addresses.ts';
import { type CommandOptions, type CommandResult, NodeCommands } from '../../../src/host/commands.ts';
import { KernelInitiator } from '../../../src/host/kernel/kernel-initiator.ts';
import { RootedFiles } from '../../../src/host/sys-files.ts';
import { isOrders, type Operation, type Outcome } from './operations.ts';

/** What PVE's own commands wait for, ms. */
const OPERATION_MS = 100_000;

/** Before which of its commands and changes of files the process kills itself; null: it does not. */
let dieBefore: number | null = null;
let steps = 0;
function step(what: string): void {
  steps += 1;
  process.stderr.write(`${steps} ${what}\n`);
  if (steps === dieBefore) process.kill(process.pid, 'SIGKILL');
}

class CountedCommands extends NodeCommands {
  override run(argv: readonly string[], options: CommandOptions): Promise<CommandResult> {
    step(argv.join(' '));
    return super.run(argv, options);
  }
}

class CountedFiles extends RootedFiles {
  override write(path: string, text: string): Promise<void> {
    step(`${path} < ${text}`);
    return super.write(path, text);
  }
  override replace(path: string, text: string, mode: number): Promise<void> {
    step(`replace ${path}`);
    return super.replace(path, text, mode);
  }
  override link(path: string, text: string): Promise<void> {
    step(`link ${path} ${text}`);
    return super.link(path, text);
  }
  override remove(path: string): Promise<void> {
    step(`remove ${path}`);
    return super.remove(path);
  }
}

const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: (message, fields) => void process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  error: (message, fields) => void process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  child: () => log,
};
const kernel = new KernelInitiator(
  { clock: systemClock, log, meter: NO_METER, commands: new CountedCommands(), files: new CountedFiles(), resolve: resolveHost },
  '/dev/pve-truenas',
);

async function perform(operation: Operation): Promise<Outcome> {
  const { what } = operation;
  if (what === 'script') return { what, value: (await promisify(execFile)('bash', ['-ec', operation.text])).stdout };
  const { spec } = operation;
  try {
    return await withDeadline(systemClock, operation.ms ?? OPERATION_MS, `${what} ${spec.volume}`, async (deadline) => {
      if (what === 'attach') return { what, value: (await kernel.attach(spec, deadline)).device };
      if (what === 'holders') return { what, value: [...(await kernel.holders(spec, deadline))].join(', ') };
      await kernel[what](spec, deadline);
      return { what, value: 'done' };
    });
  } catch (thrown) {
    const { code, message, causes, hints } = asStorageError(thrown);
    return { what, code, message, causes: [...causes], hints: [...hints] };
  }
}

async function obey(text: string): Promise<readonly Outcome[]> {
  const orders: unknown = JSON.parse(text);
  if (!isOrders(orders)) throw new Error(`no orders: ${text}`);
  [dieBefore, steps] = [orders.dieBefore ?? null, 0];
  if (orders.together === true) return Promise.all(orders.operations.map(perform));
  const outcomes: Outcome[] = [];
  for (const operation of orders.operations) outcomes.push(await perform(operation));
  return outcomes;
}

// Held open from the start: whoever waits for an answer sees the end of the file when this process is killed.
const [, , input = '', output = ''] = process.argv;
const answers = await open(output, 'r+');
await answers.write('ready\n');
for (;;) await answers.write(`${JSON.stringify(await obey(await readFile(input, 'utf8')))}\n`);
