import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LabAgent } from '../../../sim/blocks/lab/lab-agent.ts';
import { GOLDEN, MACHINE } from './places.ts';

const run = promisify(execFile);

/** One of the lab's host scripts; what it wrote. Errors: its exit status is not 0; the error has its output. */
export async function script(name: string, ...args: readonly string[]): Promise<string> {
  return (await run(join(MACHINE, name), args, { timeout: 120_000 })).stdout;
}

/** Directory of a running VM with its sockets; the value of the simulator's `--vm`. */
export function directoryOf(name: string): string {
  const folder = process.env['LAB_RUN'];
  if (folder === undefined) throw new Error('LAB_RUN is not set: run the tests of the lab as vitest project "lab"');
  return join(folder, name);
}

/** The other one is where a simulator works on the VM's pool (sim/state/array.ts). */
const PORTS = [0, 2];
/** The golden snapshot as the VM of this name. */
const FRESH = 'fresh';

/** Of the golden snapshot, the files in this directory and `parts`. */
async function digestOf(parts: readonly (string | Buffer)[]): Promise<string> {
  const files = (await readdir(import.meta.dirname)).sort().map((name) => join(import.meta.dirname, name));
  const hash = createHash('sha256');
  for (const part of await Promise.all([join(GOLDEN, 'made-from'), ...files].map((file) => readFile(file)))) hash.update(part);
  for (const part of parts) hash.update(part);
  return hash.digest('hex').slice(0, 16);
}

/** A VM of the lab in which scripts run as root. */
export class Machine {
  readonly name: string;
  readonly directory: string;
  readonly #agent: LabAgent;

  private constructor(name: string, ports: readonly number[] = PORTS) {
    this.name = name;
    this.directory = directoryOf(name);
    this.#agent = new LabAgent(this.directory, ports);
  }

  /**
   * A VM as it is in the golden snapshot, with the name and addresses of this VM; both are loaded into one that this worker runs already,
   * which takes a third of the time. `ports`: as LabAgent.
   */
  static async restore(name: string, ports?: readonly number[]): Promise<Machine> {
    const kept = await Machine.again(name, FRESH, ports);
    if (kept !== null) return kept;
    await script('net', 'up');
    await script('vm', 'restore', name);
    const machine = new Machine(name, ports);
    await machine.keep(FRESH);
    return machine;
  }

  /**
   * A VM after `prepare`, which takes long and is done once, also for later runs, as long as the golden snapshot, the files beside this one
   * and what it is made of stay the same. `kind`: what of this VM is replaced where they do not; letters and `-`. `ports`: as LabAgent.
   */
  static async prepared(
    name: string,
    kind: string,
    madeOf: readonly (string | Buffer)[],
    prepare: (machine: Machine) => Promise<unknown>,
    ports?: readonly number[],
  ): Promise<Machine> {
    const state = `${kind}-${await digestOf(madeOf)}`;
    const kept = (await Machine.again(name, state, ports)) ?? (await Machine.#stored(name, state, ports));
    if (kept !== null) return kept;
    const machine = await Machine.restore(name, ports);
    await prepare(machine);
    await machine.keep(state);
    await machine.#monitor('stop');
    await script('vm', 'store', name, state);
    await machine.#monitor('cont');
    return machine;
  }

  /** As it was stored by whichever worker or run; null where it was not. */
  static async #stored(name: string, state: string, ports?: readonly number[]): Promise<Machine | null> {
    await script('net', 'up');
    try {
      await script('vm', 'load', name, state);
    } catch {
      return null;
    }
    return new Machine(name, ports);
  }

  /** The VM as `keep(state)` left it, in this worker; null where none of this name runs that has been kept so. */
  static async again(name: string, state: string, ports?: readonly number[]): Promise<Machine | null> {
    const machine = new Machine(name, ports);
    try {
      // From 10.2 on QEMU drops the code that it translated only where a running VM is loaded (accel/tcg: its hook on changes of the VM's state);
      // one that stands still would go on with code of before, and lose processes.
      await machine.#monitor('cont', `loadvm ${state}`, 'cont');
    } catch {
      return null;
    }
    return machine;
  }

  /** What takes long to make and each test of a file needs is made once and kept under a name. */
  async keep(state: string): Promise<void> {
    await this.#monitor('stop', `savevm ${state}`, 'cont');
  }

  /** Output without blanks around it. Errors: the script's exit status is not 0, with its output. `seconds`: until it is killed. */
  async sh(text: string, seconds = 60, stdin: Buffer | string = ''): Promise<string> {
    const answer = await this.#agent.run(`set -e\n${text}`, { seconds, stdin });
    if (answer.status === 0) return answer.stdout.toString().trim();
    throw new Error(`${this.name}: exit status ${answer.status}\n${text.slice(-600)}\n${answer.stdout.toString()}${answer.stderr}`);
  }

  /** Stands still, for the next `restore` in this worker to take over; the end of the run takes it down. */
  async stop(): Promise<void> {
    await this.#monitor('stop');
  }

  /** The power goes: nothing of it is kept. */
  async cutPower(): Promise<void> {
    await script('vm', 'stop', this.name);
  }

  async #monitor(...commands: readonly string[]): Promise<void> {
    await script('qmp', join(this.directory, 'qmp.sock'), ...commands);
  }
}
