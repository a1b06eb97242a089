import { childrenOf, type ConfigQuery, type ConfigTree } from './configfs-shell.ts';

export const SUBSYSTEMS = 'nvmet/subsystems';
export const PORTS = 'nvmet/ports';
export const HOSTS = 'nvmet/hosts';

/** Firmware revision of the simulator's subsystems, by which it knows its own; a subsystem made by hand shows the kernel's release. */
export const MARK = 'pve-sim';

/** What is read of nvmet. `devices`: block devices to look up. */
export function nvmetQuery(devices: readonly string[]): ConfigQuery {
  return {
    roots: ['nvmet'],
    skip: '^(?:ana_groups|referrals|passthru)$',
    files: '/(?:attr_\\w+|param_\\w+|addr_\\w+|device_(?:path|uuid|nguid)|enable|dhchap_\\w+)$',
    devices,
  };
}

export interface StandingSubsystem {
  readonly nqn: string;
  readonly path: string;
  /** it was made by the simulator */
  readonly own: boolean;
  /** links to hosts, by their NQN */
  readonly hosts: readonly string[];
  readonly nsids: readonly number[];
}

export interface StandingPort {
  readonly index: number;
  readonly path: string;
  /** NQNs of the subsystems that it shows */
  readonly subsystems: readonly string[];
}

export interface StandingNvme {
  readonly subsystems: ReadonlyMap<string, StandingSubsystem>;
  readonly ports: ReadonlyMap<number, StandingPort>;
  readonly hosts: ReadonlySet<string>;
  /** attributes by their path */
  readonly files: ReadonlyMap<string, string>;
}

/** What configfs says, in the words of the configuration. */
export function standingNvme(tree: ConfigTree): StandingNvme {
  const linked = (directory: string): string[] =>
    [...tree.links.keys()].flatMap((path) => (path.startsWith(`${directory}/`) ? [path.slice(directory.length + 1)] : []));
  const subsystems = childrenOf(tree, SUBSYSTEMS).map((nqn): [string, StandingSubsystem] => {
    const path = `${SUBSYSTEMS}/${nqn}`;
    return [
      nqn,
      {
        nqn,
        path,
        own: tree.files.get(`${path}/attr_firmware`) === MARK,
        hosts: linked(`${path}/allowed_hosts`),
        nsids: childrenOf(tree, `${path}/namespaces`).map(Number),
      },
    ];
  });
  const ports = childrenOf(tree, PORTS).map((index): [number, StandingPort] => {
    const path = `${PORTS}/${index}`;
    return [Number(index), { index: Number(index), path, subsystems: linked(`${path}/subsystems`) }];
  });
  return { subsystems: new Map(subsystems), ports: new Map(ports), hosts: new Set(childrenOf(tree, HOSTS)), files: tree.files };
}
