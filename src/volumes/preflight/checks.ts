import type { DatasetInfo, Target } from '../../core/array-port.ts';
import { StorageError } from '../../core/errors.ts';
import { assertVolumeSize, formatSize } from '../../core/sizes.ts';
import { parseVolumeName } from '../../core/volume-name.ts';
import { poolName } from '../../inventory/inventory.ts';
import { lunExhausted } from '../export-errors.ts';
import { lowestFreeName, noFreeName } from '../free-name.ts';
import { sizeAfterGrowth } from '../growth.ts';
import { type Check, ok, warning } from '../inspect/check.ts';
import { inspectPool, isUnusable, poolText } from '../inspect/pool.ts';
import { exportIndex, findTarget, knownLun, refreshExports, type Volume, volumeExists, withExport, zvolId } from '../lookup.ts';
import { LUN_NUMBERS } from '../lun-allocator.ts';
import { lacksRoles, missingRoles } from '../needed-roles.ts';
import { assertRollbackPossible } from '../rollback-guard.ts';
import { insufficientSpace, isTrusted, needOfGrowth, needOfNew, type SpaceNeed, weighSpace } from '../space.ts';
import type { PreflightOperation, PreflightRun } from './run.ts';

/**
 * Looks at one thing that an operation needs: by what the inventory knows, or, in a fresh run, by what the array says now.
 * Null: it cannot be judged since something else failed, whose own check says so. Rejects with the StorageError that the
 * operation would be refused with.
 */
export type PreflightLook = (run: PreflightRun) => Promise<Check | null>;

/** An authenticated session; in the order of the list the first one, and all others need it. */
export async function lookAtConnection({ context, deadline, fresh }: PreflightRun): Promise<Check> {
  const { array, config } = context;
  if (array.connection().state !== 'ready') await array.ready(deadline);
  if (fresh) await array.ping(deadline);
  return ok('connection', `logged in to ${array.connection().version ?? 'TrueNAS'} at ${config.apiHost}:${config.apiPort}`);
}

async function lookAtService({ context, deadline, fresh }: PreflightRun): Promise<Check> {
  const { config, inventory } = context;
  const known = fresh ? null : inventory.serviceRunning;
  if (known ?? (await inventory.refreshService(deadline))) return ok('service', 'the iSCSI service is RUNNING');
  throw new StorageError('SERVICE_STOPPED', `the iSCSI service on ${config.apiHost} is not running (its state must be RUNNING)`);
}

async function lookAtTarget(run: PreflightRun): Promise<Check> {
  await run.targets();
  const target = findTarget(run.context);
  if (target.groups.length > 0) return targetOk(target);
  throw new StorageError('TARGET_UNUSABLE', `target '${target.iqn}' has no portal group and admits nobody`);
}

function targetOk(target: Target): Check {
  return ok('target', `${target.iqn}, ${target.groups.length} portal group${target.groups.length === 1 ? '' : 's'}`);
}

function tryTarget({ context }: PreflightRun): Target | null {
  try {
    return findTarget(context);
  } catch {
    return null;
  }
}

async function lookAtDataset(run: PreflightRun): Promise<Check> {
  const { config, inventory } = run.context;
  const known = run.fresh ? undefined : inventory.dataset(config.dataset)?.info;
  const info = known ?? (await run.readSpace()).info;
  const flaw = flawOf(info);
  if (flaw === null) return ok('dataset', `'${info.id}' can be written`);
  throw new StorageError('DATASET_UNUSABLE', flaw.message, { causes: [flaw.cause], hints: [flaw.cure] });
}

/** What keeps a dataset from holding volumes. */
function flawOf(info: DatasetInfo): { message: string; cause: string; cure: string } | null {
  if (info.type !== 'FILESYSTEM') {
    return {
      message: `'${info.id}' (setting dataset) is a zvol, not a dataset`,
      cause: 'the setting dataset names a volume',
      cure: 'TrueNAS: Datasets: name a dataset (file system) that holds the volumes',
    };
  }
  if (info.readonly) {
    return {
      message: `dataset '${info.id}' is read-only`,
      cause: 'it, or a dataset above it, was set read-only (replication targets are)',
      cure: `TrueNAS: Datasets > ${info.id} > Edit > Read-only: Off`,
    };
  }
  if (info.locked) {
    return {
      message: `dataset '${info.id}' is locked (encrypted)`,
      cause: 'its key was not loaded since TrueNAS started',
      cure: `TrueNAS: Datasets > ${info.id} > Unlock`,
    };
  }
  return null;
}

/** A degraded pool works on and is a warning (F-370). Only looked at freshly where asked: it is no part of the inventory's reads. */
async function lookAtPool(run: PreflightRun): Promise<Check | null> {
  const { context, deadline, fresh } = run;
  const known = context.inventory.poolOf(context.config.dataset);
  if (!fresh) {
    if (known === null) return null;
    if (isUnusable(known)) throw new StorageError('DATASET_UNUSABLE', poolText(known));
    return known.status === 'ONLINE' && known.healthy ? ok('pool', poolText(known)) : warning('pool', poolText(known), {});
  }
  const check = (await inspectPool(context, deadline))[0] ?? null;
  if (check?.state !== 'critical') return check;
  throw new StorageError('DATASET_UNUSABLE', check.message, {
    causes: [`pool '${poolName(context.config.dataset)}' takes no data in this state`],
    hints: check.cure === undefined ? [] : [check.cure],
  });
}

async function lookAtSpace(run: PreflightRun): Promise<Check | null> {
  const { context } = run;
  const need = await spaceNeed(run);
  if (need === null) return null;
  const known = run.fresh ? null : context.inventory.dataset(context.config.dataset);
  if (known !== null) {
    const verdict = weighSpace(context, need, known.info.available);
    // What does not fit is looked at once more in a fresh run; what fits narrowly must fit by new numbers.
    if (!verdict.fits) throw insufficientSpace(context, need, { info: known.info, above: [] });
    if (isTrusted(verdict, context.clock.now() - known.readAt)) return spaceOk(run, need, known.info.available);
  }
  const reading = await orNull(run.readSpace());
  if (reading === null) return null;
  if (!weighSpace(context, need, reading.info.available).fits) throw insufficientSpace(context, need, reading);
  return spaceOk(run, need, reading.info.available);
}

/** Null: no space is needed, or what it depends on is not known. */
async function spaceNeed(run: PreflightRun): Promise<SpaceNeed | null> {
  const { context, request } = run;
  if (request.operation === 'rollback') return null;
  if (request.operation === 'allocate') return needOfNew(context, request.size);
  const volume = await orNull(run.volume());
  if (volume === null) return null;
  if (request.operation === 'clone') return needOfNew(context, request.size ?? volume.zvol.volsize);
  return needOfGrowth(context, volume.zvol, request.size);
}

function spaceOk({ context }: PreflightRun, need: SpaceNeed, available: number): Check {
  const { withOverhead } = weighSpace(context, need, available);
  const text = `${formatSize(need.requested)} asked for, ${formatSize(available)} available on '${context.config.dataset}'`;
  if (need.thick) return ok('space', `${text}, ${formatSize(withOverhead)} needed with overhead`);
  if (need.requested <= available) return ok('space', text);
  const cure = `watch pve-truenas health ${context.config.id}, or unset truenas-force-size`;
  return warning('space', `${text}: the volume can grow beyond what is there (truenas-force-size)`, { cure });
}

async function lookAtName({ context, deadline, request, fresh }: PreflightRun): Promise<Check | null> {
  if (request.operation !== 'allocate') return null;
  const { config, inventory } = context;
  const zvols = inventory.zvolCollection(config.dataset);
  await zvols.all(deadline);
  if (request.name !== undefined) {
    const id = zvolId(context, request.name);
    const taken = fresh ? (await zvols.refresh(id, deadline)) !== null : zvols.entries.has(id);
    if (taken) throw volumeExists(context, request.name);
    return ok('name', `'${request.name}' is free`);
  }
  if (request.vmid === undefined) return null;
  let name = lowestFreeName(context, request.vmid);
  if (name === null && fresh) {
    await zvols.reload(deadline);
    name = lowestFreeName(context, request.vmid);
  }
  if (name === null) throw noFreeName(context, request.vmid);
  return ok('name', `'${name}' is free`);
}

async function lookAtLuns(run: PreflightRun): Promise<Check | null> {
  const { context, deadline } = run;
  if (run.request.operation !== 'allocate' && run.request.operation !== 'clone') return null;
  const { mappings, extents } = context.inventory;
  await Promise.all([mappings.all(deadline), extents.all(deadline), orNull(run.targets())]);
  const target = tryTarget(run);
  if (target === null) return null;
  const used = (): number =>
    new Set([...mappings.entries.values()].filter((one) => one.target === target.id && one.lun >= LUN_NUMBERS.lowest).map((one) => one.lun))
      .size;
  if (used() >= LUN_NUMBERS.highest && run.fresh) await mappings.reload(deadline);
  if (used() >= LUN_NUMBERS.highest) throw lunExhausted(target, used());
  return ok('LUN', `${used()} of ${LUN_NUMBERS.highest} numbers of the target are used`);
}

/** Roles that an operation cannot do without; those of reading were proven by reading. */
const ROLES: Readonly<Record<PreflightOperation, readonly string[]>> = {
  allocate: ['DATASET_WRITE', 'SHARING_ISCSI_EXTENT_WRITE', 'SHARING_ISCSI_TARGETEXTENT_WRITE'],
  clone: ['DATASET_WRITE', 'SHARING_ISCSI_EXTENT_WRITE', 'SHARING_ISCSI_TARGETEXTENT_WRITE'],
  resize: ['DATASET_WRITE'],
  rollback: ['SNAPSHOT_READ', 'SNAPSHOT_WRITE', 'FULL_ADMIN'],
};

async function lookAtRoles({ context, deadline, request, fresh }: PreflightRun): Promise<Check> {
  const { array, config, inventory } = context;
  const { release } = array.connection().state === 'ready' ? array.connection() : await array.ready(deadline);
  const held = (fresh ? null : inventory.roles) ?? (await inventory.refreshRoles(deadline));
  if (held === null) return warning('roles', 'the roles of the API key cannot be read; TrueNAS itself will refuse what is not allowed', {});
  const missing = (release === null ? [] : missingRoles(held, release))
    .filter(({ anyOf }) => anyOf.some((role) => ROLES[request.operation].includes(role)))
    .map(({ anyOf }) => anyOf.join(' or '));
  if (missing.length === 0) return ok('roles', 'the API key may do it');
  throw lacksRoles(config, missing);
}

async function lookAtVolume(run: PreflightRun): Promise<Check | null> {
  const { context, request } = run;
  const volume = await run.volume();
  if (volume === null) return null;
  if (request.operation === 'clone') await assertReadable(run, volume);
  return ok('volume', `'${context.config.id}:${volume.name}' is there, ${formatSize(volume.zvol.volsize)}`);
}

/** The data of a clone's source is read through its LUN. Errors: EXPORT_MISSING. */
async function assertReadable({ context, deadline, fresh }: PreflightRun, volume: Volume): Promise<void> {
  try {
    knownLun(context, volume);
  } catch (error) {
    if (!fresh) throw error;
    await refreshExports(context, deadline);
    knownLun(context, withExport(exportIndex(context), volume.name, volume.zvol));
  }
}

async function lookAtSize(run: PreflightRun): Promise<Check | null> {
  const { context, request } = run;
  if (request.operation === 'rollback' || request.size === undefined) return null;
  assertVolumeSize(request.size);
  const volume = await orNull(run.volume());
  if (request.operation !== 'resize') return ok('size', formatSize(request.size));
  return volume === null ? null : ok('size', formatSize(sizeAfterGrowth(context, volume.name, volume.zvol, request.size)));
}

async function lookAtSnapshot(run: PreflightRun): Promise<Check | null> {
  const { context, request } = run;
  if (request.operation !== 'rollback') return null;
  const volume = await orNull(run.volume());
  if (volume === null) return null;
  await assertRollbackPossible(context, parseVolumeName(request.volume).name, volume.zvol.id, request.snapshot, run.deadline);
  return ok('snapshot', `'${request.snapshot}' is the newest one`);
}

/** Errors of what another check reports. */
async function orNull<T>(reading: Promise<T>): Promise<T | null> {
  return reading.catch(() => null);
}

/** What is looked at once a session stands, with the names that messages, metrics and `--json` use. */
export const PREFLIGHT_LOOKS: Readonly<Record<string, PreflightLook>> = {
  service: lookAtService,
  target: lookAtTarget,
  dataset: lookAtDataset,
  pool: lookAtPool,
  roles: lookAtRoles,
  volume: lookAtVolume,
  size: lookAtSize,
  snapshot: lookAtSnapshot,
  space: lookAtSpace,
  name: lookAtName,
  LUN: lookAtLuns,
};
