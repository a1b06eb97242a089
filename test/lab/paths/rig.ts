import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { driver, OUTCOMES } from '../testing/driver-program.ts';
import { Machine, script } from '../testing/machine.ts';
import type { Operation, Orders, Outcome, Spec } from '../testing/operations.ts';
import { MACHINE } from '../testing/places.ts';
import { rehearse } from '../testing/rehearsal.ts';
import { GIB, linkOf, specOf as specOfOneNode } from '../testing/specs.ts';

export { GIB, linkOf };

/** A file that users are given, as it is. */
export function example(name: string): Promise<string> {
  return readFile(resolve(import.meta.dirname, '../../../docs/examples', name), 'utf8');
}

/** What TrueNAS would say of volume `number`, whatever stands at its LUN; default: 1 GiB at the LUN of the same number, both portals, multipath. */
export function specOf(
  number: number,
  over: { readonly lun?: number; readonly size?: number; readonly multipath?: boolean; readonly networks?: readonly number[] } = {},
): Spec {
  return {
    ...specOfOneNode(number, over),
    portals: (over.networks ?? [0, 1]).map((network) => ({ host: `10.77.${network}.10`, port: 3260 })),
    multipath: over.multipath ?? true,
  };
}

/** Name of a volume's map where no alias is given. */
export function wwidOf(spec: Spec): string {
  return `3${spec.naa.slice(2)}`;
}

/** The array's VM: real zvols behind LIO with the identity that TrueNAS gives, a portal in each of two networks, open to every node. */
export class Storage {
  readonly #machine: Machine;
  readonly #functions: string;

  private constructor(machine: Machine, functions: string) {
    this.#machine = machine;
    this.#functions = functions;
  }

  static async start(machine: Machine): Promise<Storage> {
    const storage = new Storage(machine, await readFile(join(MACHINE, 'guest/targets.sh'), 'utf8'));
    await storage.sh('lio_target 10.77.0.10 10.77.1.10');
    return storage;
  }

  /** With the functions of guest/targets.sh. */
  sh(text: string): Promise<string> {
    return this.#machine.sh(`${this.#functions}\n${text}`, 120);
  }

  /** A zvol `tank/d<number>` and its LUN. `clone`: made of this snapshot instead of empty. */
  async volume(spec: Spec, clone?: string): Promise<Spec> {
    const name = zvolOf(spec);
    const make = clone === undefined ? `zfs create -s -V ${spec.size} tank/${name}` : `zfs clone tank/${clone} tank/${name}`;
    await this.sh(
      `${make}; udevadm settle; wait_for 20 test -b /dev/zvol/tank/${name}; lio_disk ${name} /dev/zvol/tank/${name} ${spec.serial}; lio_map ${name} ${spec.lun}`,
    );
    return spec;
  }

  async resize(spec: Spec, size: number): Promise<Spec> {
    await this.sh(`zfs set volsize=${size} tank/${zvolOf(spec)}`);
    return { ...spec, size };
  }

  /** LUN and zvol go, as freeing the volume makes them go. */
  async free(spec: Spec): Promise<void> {
    const name = zvolOf(spec);
    await this.sh(`lio_unmap ${name} ${spec.lun}; lio_undisk ${name}; wait_for 20 zfs destroy -r tank/${name}`);
  }
}

export function zvolOf(spec: Spec): string {
  return `d${Number(spec.volume.split('-')[1]) - 100}`;
}

/** Seconds of /etc/iscsi/iscsid.conf for tests of lost links, short: 4 until one is known as lost, 5 more until I/O fails. */
export const SHORT = { noop_out_interval: 2, noop_out_timeout: 2, replacement_timeout: 5 } as const;
/** For all others: a target in a VM that is starved of CPU is slow, not lost. */
const PATIENT = { noop_out_interval: 30, noop_out_timeout: 60, replacement_timeout: 120 } as const;

/** The VM of a node with the daemon's own code standing ready, which takes seconds to start there. */
async function nodeMachine(name: string): Promise<Machine> {
  const program = await driver();
  const functions = await readFile(join(MACHINE, 'guest/targets.sh'), 'utf8');
  return Machine.prepared(name, 'node', [program, functions], async (machine) => {
    await machine.sh('cat > /root/driver.mjs', 60, program);
    await machine.sh(
      'mkfifo /run/in /run/out; setsid node /root/driver.mjs /run/in /run/out < /dev/null > /dev/null 2>> /run/driver.log & head -n 1 /run/out',
      120,
    );
    await rehearse(machine, functions, [(orders) => tell(machine, orders)]);
    await machine.sh('truncate -s 0 /run/driver.log');
  });
}

/** One line; empty when the process was killed. */
function tell(machine: Machine, orders: Orders): Promise<string> {
  return machine.sh('exec 3< /run/out; cat > /run/in; head -n 1 <&3', 250, JSON.stringify(orders));
}

/** A node's VM: iscsid, multipathd where it has a multipath.conf, and the daemon's own code for a node's side of a LUN. */
export class Node {
  readonly machine: Machine;

  private constructor(machine: Machine) {
    this.machine = machine;
  }

  /** `multipath`: the text of multipath.conf; without it multipathd does not run. */
  static async start(machine: Machine, multipath?: string, seconds: typeof SHORT | typeof PATIENT = PATIENT): Promise<Node> {
    const node = new Node(machine);
    if (multipath !== undefined) await machine.sh('cat > /etc/multipath.conf', 60, multipath);
    const times = Object.entries(seconds);
    const program = times.map(([key, value]) => `s/^\\(node.*timeo\\.${key}\\) = .*/\\1 = ${value}/`).join(';');
    await machine.sh(
      `sed -i '${program}' /etc/iscsi/iscsid.conf
       [ $(grep -cE '^node.*timeo.(${times.map(([key, value]) => `${key} = ${value}`).join('|')})$' /etc/iscsi/iscsid.conf) = ${times.length} ]
       iscsid; ${multipath === undefined ? '' : 'multipathd; until multipathd show status > /dev/null 2>&1; do sleep 0.2; done'}`,
      120,
    );
    return node;
  }

  sh(text: string, seconds = 90): Promise<string> {
    return this.machine.sh(text, seconds);
  }

  /** One after the other, by one daemon as long as the machine runs; each outcome, also failures. */
  async perform(...operations: readonly Operation[]): Promise<readonly Outcome[]> {
    const answer = await tell(this.machine, { operations });
    if (answer === '') throw new Error(`the daemon died: ${await this.sh('cat /run/driver.log')}`);
    return OUTCOMES.parse(JSON.parse(answer));
  }

  /** As perform, of operations that have to succeed; the value of the last one. */
  async done(...operations: readonly Operation[]): Promise<string> {
    const outcomes = await this.perform(...operations);
    const failed = outcomes.find((outcome) => !('value' in outcome));
    const last = outcomes.at(-1);
    if (failed !== undefined || last === undefined || !('value' in last))
      throw new Error(`${this.machine.name}: ${JSON.stringify(failed)}`);
    return last.value;
  }

  /** 8 MiB of random data through the volume's link, past the page cache; their sha256. Errors: an I/O error, or not within `seconds`. */
  write(spec: Spec, seconds = 60): Promise<string> {
    return this.sh(
      `head -c 8M /dev/urandom > /tmp/data; timeout ${seconds} dd if=/tmp/data of=${linkOf(spec)} bs=1M oflag=direct conv=fsync,notrunc status=none; sha256sum < /tmp/data`,
      seconds + 30,
    );
  }

  /** sha256 of the first 8 MiB, past the page cache. */
  read(spec: Spec): Promise<string> {
    return this.sh(`set -o pipefail; timeout 60 dd if=${linkOf(spec)} bs=1M count=8 iflag=direct status=none | sha256sum`);
  }

  /** Waits until the condition, a command, holds. Errors: it does not within `seconds`. */
  async until(condition: string, seconds = 60): Promise<void> {
    await this.sh(`end=$((SECONDS + ${seconds})); until ${condition}; do [ $SECONDS -lt $end ]; sleep 0.2; done`, seconds + 30);
  }
}

/** Fresh VMs, all at once, with all cables in; `st` is the storage. */
export class Lab {
  readonly #machines: Machine[] = [];
  readonly #pulled = new Map<string, readonly [machine: string, network: 0 | 1]>();

  async restore<Name extends string>(...names: readonly Name[]): Promise<Record<Name, Machine>> {
    const machines = await Promise.all(names.map((name) => (name === 'st' ? Machine.restore(name) : nodeMachine(name))));
    this.#machines.push(...machines);
    return Object.fromEntries(machines.map((machine) => [machine.name, machine])) as Record<Name, Machine>;
  }

  /** A VM's link into one of the two storage networks. */
  async cable(machine: string, network: 0 | 1, state: 'up' | 'down'): Promise<void> {
    const link = `${machine}${network}`;
    if (state === 'down') this.#pulled.set(link, [machine, network]);
    else this.#pulled.delete(link);
    await script('net', 'exec', 'ip', 'link', 'set', link, state);
  }

  /** The VMs stand still for the next `restore`, and all cables are in again. */
  async stop(): Promise<void> {
    for (const [machine, network] of [...this.#pulled.values()]) await this.cable(machine, network, 'up');
    await Promise.all(this.#machines.splice(0).map((machine) => machine.stop()));
  }
}
