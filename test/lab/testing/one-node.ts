import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { driver, OUTCOMES } from './driver-program.ts';
import { Machine } from './machine.ts';
import type { Operation, Orders, Outcome, Spec } from './operations.ts';
import { MACHINE } from './places.ts';
import { rehearse } from './rehearsal.ts';
import { PORTALS, specOf } from './specs.ts';

/** Processes of the daemon's code that stand ready in the VM: one for each start of a daemon in a test. */
const DAEMONS = ['a', 'b'] as const;
const PREPARED = 'prepared';

/** Waits without a loop: a script that looks again and again takes the CPU that Node.js needs to start. */
const START_DAEMONS = `mkdir /run/driver; cd /run/driver; for d in ${DAEMONS.join(' ')}; do
  mkfifo $d.in $d.out; setsid node /root/driver.mjs $PWD/$d.in $PWD/$d.out < /dev/null > /dev/null 2>> $d.log & echo $! > $d.pid; head -n 1 $d.out
done`;
const START = `lio_target ${PORTALS.map(({ host }) => host).join(' ')}; iscsid; truncate -s 0 /run/driver/*.log`;

/** Array and node in one VM: real zvols, LIO and the kernel's initiator, and the daemon's code for a node in front of it. */
export class OneNode {
  #machine: Machine;
  readonly #functions: string;
  #daemons: readonly string[] = DAEMONS;

  private constructor(machine: Machine, functions: string) {
    this.#machine = machine;
    this.#functions = functions;
  }

  /**
   * A VM as the golden snapshot has it, with an open target at two portals, iscsid and daemons that have been started; multipathd does
   * not run. Starting Node.js under an emulated CPU takes longer than most tests: so a VM keeps this as a snapshot of its own for other
   * files, and what stands after `prepare` as another one for `again`.
   */
  static async start(prepare: (node: OneNode) => Promise<void> = () => Promise.resolve()): Promise<OneNode> {
    const functions = await readFile(join(MACHINE, 'guest/targets.sh'), 'utf8');
    const program = await driver();
    const machine = await Machine.prepared('st', 'one-node', [program, functions], async (fresh) => {
      await fresh.sh('cat > /root/driver.mjs', 60, program);
      await fresh.sh(START_DAEMONS, 800);
      const daemons = DAEMONS.map((daemon) => (orders: Orders) => tell(fresh, daemon, orders));
      await rehearse(fresh, functions, daemons);
      await fresh.sh(`${functions}\n${START}`);
    });
    const node = new OneNode(machine, functions);
    await prepare(node);
    await machine.keep(PREPARED);
    return node;
  }

  /** As it stood after `prepare`. */
  async again(): Promise<void> {
    const machine = await Machine.again('st', PREPARED);
    if (machine === null) throw new Error('the VM of this file runs no more');
    this.#machine = machine;
    this.#daemons = DAEMONS;
  }

  async stop(): Promise<void> {
    await this.#machine.stop();
  }

  /** From now on a daemon that has just been started; the one before is killed. Errors: none is left. */
  async restartDaemon(): Promise<void> {
    const [before = '', ...left] = this.#daemons;
    if (left.length === 0) throw new Error(`a test may start a daemon ${DAEMONS.length} times`);
    await this.sh(`kill -KILL $(cat /run/driver/${before}.pid) 2> /dev/null || true`);
    this.#daemons = left;
  }

  /** What the daemon has done so far: commands, changes of files, warnings. */
  log(): Promise<string> {
    return this.sh(`cat /run/driver/${this.#daemons[0] ?? ''}.log`);
  }

  /** In the VM, with the functions of guest/targets.sh. */
  sh(text: string, seconds = 60): Promise<string> {
    return this.#machine.sh(this.withFunctions(text), seconds);
  }

  /** A script with the functions of guest/targets.sh before it. */
  withFunctions(text: string): string {
    return `${this.#functions}\n${text}`;
  }

  /** A zvol `tank/d<number>` behind LUN `lun` (default: `number`), as TrueNAS would describe it. */
  async volume(number: number, over: { readonly lun?: number; readonly size?: number; readonly map?: boolean } = {}): Promise<Spec> {
    const spec = specOf(number, over);
    const map = over.map === false ? '' : `lio_map d${number} ${spec.lun}`;
    await this.sh(`zfs create -s -V ${spec.size} -o volblocksize=16K tank/d${number}; udevadm settle
      wait_for 20 test -b /dev/zvol/tank/d${number}; lio_disk d${number} /dev/zvol/tank/d${number} ${spec.serial}; ${map}`);
    return spec;
  }

  /** One after the other, in one process; each outcome, also failures. */
  perform(...operations: readonly Operation[]): Promise<readonly Outcome[]> {
    return this.#drive({ operations });
  }

  together(operations: readonly Operation[]): Promise<readonly Outcome[]> {
    return this.#drive({ operations, together: true });
  }

  /** As perform, of one operation that has to succeed. */
  async done(operation: Operation): Promise<string> {
    const [outcome] = await this.perform(operation);
    if (outcome === undefined || !('value' in outcome)) throw new Error(`${operation.what}: ${JSON.stringify(outcome)}`);
    return outcome.value;
  }

  /**
   * Has one operation done by a daemon that is killed with SIGKILL before its `step`th command or change of a file, and goes on with the
   * next daemon. Whether it came to that step.
   */
  async killedAt(step: number, operation: Operation): Promise<boolean> {
    const killed = (await this.#tell({ operations: [operation], dieBefore: step })) === '';
    await this.restartDaemon();
    return killed;
  }

  /** 8 MiB of random data through `device`; their sha256. */
  write(device: string): Promise<string> {
    return this.sh(
      `head -c 8M /dev/urandom > /tmp/data; dd if=/tmp/data of=${device} bs=1M oflag=direct status=none; sha256sum < /tmp/data`,
    );
  }

  /** sha256 of the first 8 MiB; `cached`: as a reader sees them through the page cache. */
  read(device: string, cached = false): Promise<string> {
    return this.sh(`dd if=${device} bs=1M count=8 ${cached ? '' : 'iflag=direct'} status=none | sha256sum`);
  }

  async #drive(orders: Orders): Promise<readonly Outcome[]> {
    const answer = await this.#tell(orders);
    if (answer === '') throw new Error(`the daemon died: ${await this.log()}`);
    return OUTCOMES.parse(JSON.parse(answer));
  }

  #tell(orders: Orders): Promise<string> {
    return tell(this.#machine, this.#daemons[0] ?? '', orders);
  }
}

/** One line; empty when the process was killed. */
function tell(machine: Machine, daemon: string, orders: Orders): Promise<string> {
  const files = `/run/driver/${daemon}`;
  return machine.sh(`exec 3< ${files}.out; cat > ${files}.in; exec < /dev/null; head -n 1 <&3`, 200, JSON.stringify(orders));
}
