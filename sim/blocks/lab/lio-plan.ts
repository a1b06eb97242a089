import type { ConfigStep } from './configfs-shell.ts';
import { FABRIC, HBA, type LioConfig, type LioDisk, type LioTarget } from './lio-config.ts';
import type { Standing, StandingLun, StandingTarget } from './lio-standing.ts';

/** LIO takes an account away when it is given this name. */
const NO_ACCOUNT = 'NULL';

/**
 * The steps from what stands to what is wanted; nothing for what is as it should be. A group fails for itself alone, so that
 * one target does not stand in another's way. Who may log in to a new target is settled before it is switched on.
 */
export function lioPlan(wanted: LioConfig, standing: Standing): ConfigStep[][] {
  const all = [...standing.targets.values()].filter((one) => ![...one.luns.values()].some((lun) => lun?.foreign === true));
  const gone = all.filter((one) => !wanted.targets.has(one.iqn) || isRestricted(one, wanted, standing));
  const now = without(standing, gone);
  const own = all.filter((one) => !gone.includes(one));
  const stale = new Set([...now.disks].filter(([name, disk]) => !same(disk, wanted.disks.get(name))).map(([name]) => name));
  const unmapped = own.flatMap((one) => {
    const target = wanted.targets.get(one.iqn);
    return target === undefined ? [] : [unmap(one, target, stale)];
  });
  const made = [...wanted.disks].filter(([name]) => stale.has(name) || !now.disks.has(name));
  return [
    ...gone.map(removal),
    ...unmapped,
    ...[...stale].map((name): ConfigStep[] => [['rmdir', `${HBA}/${name}`]]),
    ...made.map(([name, disk]) => creation(name, disk, wanted.paths.get(name) ?? '')),
    ...[...wanted.targets.values()].map((target) => targetSteps(target, now, stale)),
  ];
}

/**
 * LIO remembers every guest that it once let in, so a target that was open to everybody and is to be for named initiators only is
 * made anew.
 */
function isRestricted(target: StandingTarget, wanted: LioConfig, { files }: Standing): boolean {
  const named = wanted.targets.get(target.iqn)?.initiators ?? null;
  return named !== null && files.get(`${target.path}/attrib/generate_node_acls`) === '1';
}

function without({ disks, targets, files }: Standing, gone: readonly StandingTarget[]): Standing {
  const left = [...targets].filter(([iqn]) => !gone.some((one) => one.iqn === iqn));
  const of = (path: string): boolean => gone.some((one) => path.startsWith(`${one.path}/`));
  return { disks, targets: new Map(left), files: new Map([...files].filter(([path]) => !of(path))) };
}

function same(one: LioDisk | null, other: LioDisk | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function removal(target: StandingTarget): ConfigStep[] {
  const { path } = target;
  return [
    ...(target.enabled ? [['write', `${path}/enable`, '0'] as const] : []),
    ...[...target.initiators.keys()].flatMap((name) => initiatorRemoval(target, name)),
    ...[...target.luns].flatMap(([number, lun]) => lunRemoval(`${path}/lun`, number, lun)),
    ...[...target.portals].map((portal): ConfigStep => ['rmdir', `${path}/np/${portal}`]),
    ['rmdir', path],
    ['rmdir', `${FABRIC}/${target.iqn}`],
  ];
}

function initiatorRemoval(target: StandingTarget, name: string): ConfigStep[] {
  const path = `${target.path}/acls/${name}`;
  const luns = [...(target.initiators.get(name)?.luns ?? [])].flatMap(([number, lun]) => lunRemoval(path, number, lun));
  return [...luns, ['rmdir', path]];
}

function lunRemoval(directory: string, number: number, lun: StandingLun | null): ConfigStep[] {
  return [...(lun === null ? [] : [['unlink', lun.link] as const]), ['rmdir', `${directory}/lun_${number}`]];
}

/** Whether a LUN that stands is the one that is wanted and its disk remains. */
function remains(number: number, lun: StandingLun | null, target: LioTarget, stale: ReadonlySet<string>): boolean {
  return lun !== null && !stale.has(lun.to) && target.luns.get(number) === lun.to;
}

function unmap(now: StandingTarget, target: LioTarget, stale: ReadonlySet<string>): ConfigStep[] {
  const leaving = [...now.luns].filter(([number, lun]) => !remains(number, lun, target, stale));
  const numbers = new Set(leaving.map(([number]) => number));
  const ofInitiators = [...now.initiators].flatMap(([name, { luns }]) =>
    [...luns]
      .filter(([number]) => numbers.has(number) || !now.luns.has(number))
      .flatMap(([number, lun]) => lunRemoval(`${now.path}/acls/${name}`, number, lun)),
  );
  return [...ofInitiators, ...leaving.flatMap(([number, lun]) => lunRemoval(`${now.path}/lun`, number, lun))];
}

function creation(name: string, disk: LioDisk, device: string): ConfigStep[] {
  const path = `${HBA}/${name}`;
  // what initiators are told can be changed only while no LUN leads to it (real-parts 7)
  return [
    ['mkdir', HBA],
    ['mkdir', path],
    ['write', `${path}/control`, `udev_path=${device}`],
    ...(disk.readOnly ? [['write', `${path}/control`, 'readonly=1'] as const] : []),
    ['write', `${path}/enable`, '1'],
    ['write', `${path}/wwn/vpd_unit_serial`, disk.serial],
    ['write', `${path}/wwn/company_id`, '0x589cfc'],
    ['write', `${path}/wwn/vendor_id`, disk.vendor],
    ['write', `${path}/wwn/product_id`, disk.product],
    ['write', `${path}/wwn/revision`, '0123'],
    ['write', `${path}/attrib/block_size`, String(disk.blockSize)],
    ['write', `${path}/attrib/is_nonrot`, disk.rotational ? '0' : '1'],
    // last, so that a disk without it is known to be half made
    ['write', `${path}/attrib/emulate_tpu`, '1'],
  ];
}

function targetSteps(target: LioTarget, now: Standing, stale: ReadonlySet<string>): ConfigStep[] {
  const path = `${FABRIC}/${target.iqn}/tpgt_1`;
  const there = now.targets.get(target.iqn);
  const make: ConfigStep[] =
    there === undefined
      ? [
          ['mkdir', `${FABRIC}/${target.iqn}`],
          ['mkdir', path],
        ]
      : [];
  const portals = new Set(target.portals);
  const leaving = [...(there?.portals ?? [])].filter((portal) => !portals.has(portal));
  const coming = target.portals.filter((portal) => there?.portals.has(portal) !== true);
  const luns = [...target.luns].filter(([number]) => !remains(number, there?.luns.get(number) ?? null, target, stale));
  return [
    ...make,
    ...attributes(path, target, now),
    ...account(`${path}/auth`, target, now),
    ...leaving.map((portal): ConfigStep => ['rmdir', `${path}/np/${portal}`]),
    ...coming.map((portal): ConfigStep => ['mkdir', `${path}/np/${portal}`]),
    ...luns.flatMap(([number, disk]): ConfigStep[] => [
      ['mkdir', `${path}/lun/lun_${number}`],
      ['link', `${HBA}/${disk}`, `${path}/lun/lun_${number}/${disk}`],
    ]),
    ...initiators(path, target, there, now, stale),
    ...(there?.enabled === true ? [] : [['write', `${path}/enable`, '1'] as const]),
  ];
}

function attributes(path: string, target: LioTarget, now: Standing): ConfigStep[] {
  const wanted: readonly (readonly [string, boolean])[] = [
    ['authentication', target.account !== null],
    ['generate_node_acls', target.initiators === null],
    ['demo_mode_write_protect', false],
  ];
  const value = (on: boolean): string => (on ? '1' : '0');
  const changed = wanted.filter(([name, on]) => now.files.get(`${path}/attrib/${name}`) !== value(on));
  return changed.map(([name, on]): ConfigStep => ['write', `${path}/attrib/${name}`, value(on)]);
}

function account(path: string, { account: wanted }: LioTarget, now: Standing): ConfigStep[] {
  if (wanted === null) return [];
  const values = { userid: wanted.user, password: wanted.secret, userid_mutual: wanted.peerUser, password_mutual: wanted.peerSecret };
  return Object.entries(values).flatMap(([name, value]): ConfigStep[] => {
    const stands = now.files.get(`${path}/${name}`) ?? '';
    if ((stands === NO_ACCOUNT ? '' : stands) === value) return [];
    return [['write', `${path}/${name}`, value === '' ? NO_ACCOUNT : value]];
  });
}

/** A named initiator sees what is mapped for it; a guest, everything. A named one that is logged in is never cut off to become a guest. */
function initiators(
  path: string,
  target: LioTarget,
  there: StandingTarget | undefined,
  now: Standing,
  stale: ReadonlySet<string>,
): ConfigStep[] {
  const stand = there?.initiators ?? new Map<string, never>();
  const staying = [...stand].filter(([, one]) => target.initiators === null && one.loggedIn).map(([name]) => name);
  const wanted = new Set(target.initiators ?? staying);
  const leaving = there === undefined ? [] : [...stand.keys()].filter((name) => !wanted.has(name));
  return [
    ...leaving.flatMap((name) => (there === undefined ? [] : initiatorRemoval(there, name))),
    ...[...wanted].flatMap((name): ConfigStep[] => {
      const at = `${path}/acls/${name}`;
      const has = (number: number): boolean => {
        const lun = there?.luns.get(number) ?? null;
        return remains(number, lun, target, stale) && stand.get(name)?.luns.get(number)?.to === `lun_${number}`;
      };
      return [
        ...(stand.has(name) ? [] : [['mkdir', at] as const]),
        ...account(`${at}/auth`, target, now),
        ...[...target.luns.keys()]
          .filter((number) => !has(number))
          .flatMap((number): ConfigStep[] => [
            ['mkdir', `${at}/lun_${number}`],
            ['link', `${path}/lun/lun_${number}`, `${at}/lun_${number}/lun_${number}`],
          ]),
      ];
    }),
  ];
}
