import { childrenOf, type ConfigQuery, type ConfigTree } from './configfs-shell.ts';
import { FABRIC, HBA, type LioDisk } from './lio-config.ts';

/** What is read of LIO: nothing of statistics and ALUA. */
export function lioQuery(devices: readonly string[]): ConfigQuery {
  return {
    roots: [FABRIC, HBA],
    skip: '^(?:(?:fabric_)?statistics|param|alua|pr|action|discovery_auth)$',
    files:
      '/(?:enable|info|dynamic_sessions|vendor_id|product_id|vpd_unit_serial|block_size|is_nonrot|emulate_tpu|authentication|' +
      'generate_node_acls|demo_mode_write_protect|userid|password|userid_mutual|password_mutual)$',
    devices,
  };
}

/** A link to a backstore or, of an initiator, to a LUN. */
export interface StandingLun {
  /** path of the link */
  readonly link: string;
  /** the last part of where it leads: name of the backstore, `lun_<n>` */
  readonly to: string;
  /** it leads to a backstore that this simulator did not make */
  readonly foreign: boolean;
}

export interface StandingInitiator {
  readonly luns: ReadonlyMap<number, StandingLun | null>;
  readonly loggedIn: boolean;
}

/** A target as it stands in configfs; `path` is that of its portal group. */
export interface StandingTarget {
  readonly iqn: string;
  readonly path: string;
  readonly enabled: boolean;
  readonly portals: ReadonlySet<string>;
  readonly luns: ReadonlyMap<number, StandingLun | null>;
  readonly initiators: ReadonlyMap<string, StandingInitiator>;
  /** initiators that are logged in without being named */
  readonly guests: readonly string[];
}

export interface Standing {
  /** null: half made, or without its device */
  readonly disks: ReadonlyMap<string, LioDisk | null>;
  readonly targets: ReadonlyMap<string, StandingTarget>;
  /** attributes by their path */
  readonly files: ReadonlyMap<string, string>;
}

/** What configfs says, in the words of the configuration. */
export function standing(tree: ConfigTree): Standing {
  const disks = new Map(childrenOf(tree, HBA).map((name) => [name, standingDisk(tree, `${HBA}/${name}`)]));
  const targets = new Map<string, StandingTarget>();
  for (const iqn of childrenOf(tree, FABRIC)) {
    const path = `${FABRIC}/${iqn}/tpgt_1`;
    const initiators = new Map(
      childrenOf(tree, `${path}/acls`).map((name) => [
        name,
        {
          luns: standingLuns(tree, `${path}/acls/${name}`),
          loggedIn: /^InitiatorName: /.test(tree.files.get(`${path}/acls/${name}/info`) ?? ''),
        },
      ]),
    );
    targets.set(iqn, {
      iqn,
      path,
      enabled: tree.files.get(`${path}/enable`) === '1',
      portals: new Set(childrenOf(tree, `${path}/np`)),
      luns: standingLuns(tree, `${path}/lun`),
      initiators,
      guests: (tree.files.get(`${path}/dynamic_sessions`) ?? '').split('\n').filter(Boolean),
    });
  }
  return { disks, targets, files: tree.files };
}

function standingLuns(tree: ConfigTree, directory: string): Map<number, StandingLun | null> {
  const luns = new Map<number, StandingLun | null>();
  for (const name of childrenOf(tree, directory)) {
    const number = /^lun_(\d+)$/.exec(name)?.[1];
    if (number === undefined) continue;
    const link = [...tree.links].find(([path]) => path.startsWith(`${directory}/${name}/`));
    const lun = link === undefined ? null : { link: link[0], to: link[1].split('/').at(-1) ?? '', foreign: isForeign(link[1]) };
    luns.set(Number(number), lun);
  }
  return luns;
}

function isForeign(target: string): boolean {
  return target.startsWith('target/core/') && !target.startsWith(`${HBA}/`);
}

function standingDisk(tree: ConfigTree, path: string): LioDisk | null {
  const file = (name: string): string => tree.files.get(`${path}/${name}`) ?? '';
  const info = file('info');
  const [, major, minor] = /Major: (\d+)\s+Minor: (\d+)/.exec(info) ?? [];
  if (major === undefined || minor === undefined || file('enable') !== '1' || file('attrib/emulate_tpu') !== '1') return null;
  return {
    device: `${major}:${minor}`,
    serial: file('wwn/vpd_unit_serial').replace(/^T10 VPD Unit Serial Number: /, ''),
    vendor: file('wwn/vendor_id'),
    product: file('wwn/product_id'),
    blockSize: Number(file('attrib/block_size')),
    readOnly: /readonly: 1\b/.test(info),
    rotational: file('attrib/is_nonrot') === '0',
  };
}
