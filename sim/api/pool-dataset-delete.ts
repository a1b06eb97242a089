import { type ArrayCore, pause } from '../state/array-core.ts';
import { ZfsError } from '../state/zfs/zfs-error.ts';
import { CallError, type SimMethod, validationError } from './contract.ts';
import { isInternalDataset } from './dataset-entry.ts';
import { deleteOptions, renameOptions } from './dataset-models.ts';
import { removeTarget } from './iscsi-target.ts';
import { method, param, pythonQuote, roles, str } from './method.ts';
import { attachedExtents, attachedNamespaces, datasetInstance } from './pool-dataset-query.ts';
import { translated } from './zfs-errors.ts';

const RECURSIVE_HINT = 'Set recursive=True to remove them.';

/** pool.dataset.delete, promote and rename (truenas-api 9.3, 9.4). */
export function datasetDeleteMethods(core: ArrayCore): SimMethod[] {
  return [
    method(
      'pool.dataset.delete',
      roles('DATASET_DELETE'),
      (release) => [param('id', str), param(release === '25.04' ? 'dataset_delete' : 'options', deleteOptions, {})],
      ([id, options]) => deleteDataset(core, String(id), deleteOptions.parse(options).recursive),
    ),
    method('pool.dataset.promote', roles('DATASET_WRITE'), [param('id', str)], ([id]) => promote(core, String(id))),
    method(
      'pool.dataset.rename',
      roles('DATASET_WRITE'),
      [param('id', str.min(1)), param('data', renameOptions)],
      async ([id, data]) => {
        const wanted = renameOptions.parse(data);
        const name = String(id);
        if (!wanted.force) {
          throw validationError(
            'pool.dataset.rename.force',
            'No safety checks are performed when renaming ZFS resources; this may break existing usages. If you understand the risks, please set force and proceed.',
          );
        }
        await translated(
          () => core.zfs.transaction(() => renameDataset(core, name, wanted.new_name)),
          (error) => renameError(core, error, name),
        );
        return null;
      },
      { releases: ['25.10', '26.0'] },
    ),
  ];
}

/** 26.0 looks at both names before it asks ZFS (middlewared plugins/zfs/rename_promote_clone_impl.py). */
async function renameDataset(core: ArrayCore, name: string, newName: string): Promise<void> {
  if (core.release === '26.0') {
    core.zfs.mustDataset(name);
    if (core.zfs.dataset(newName) !== undefined) throw new ZfsError('exists', `cannot rename '${name}': dataset already exists`, [newName]);
  }
  await core.datasets.rename(name, newName);
}

function renameError(core: ArrayCore, error: ZfsError, name: string): Error {
  if (core.release !== '26.0') return new CallError(`Failed to rename dataset: ${error.message}`);
  // a parent that is missing is what ZFS says, not what the release looked for
  if (error.code === 'not-found' && error.names[0] === name)
    return validationError('zfs.resource.rename', `${pythonQuote(name)} not found`, 'ENOENT');
  if (error.code === 'exists')
    return validationError('zfs.resource.rename', `${pythonQuote(error.names[0] ?? '')} already exists`, 'EEXIST');
  return new CallError(error.message, 'EINVAL');
}

/**
 * In TrueNAS's order: children, then enabled attachments are deleted for good, then the zvol is destroyed; when that last
 * step fails its exports are gone all the same. 26.0 ignores that failure and answers true.
 */
async function deleteDataset(core: ArrayCore, name: string, recursive: boolean): Promise<true | null> {
  if (core.release === '26.0' && isInternalDataset(name)) throw validationError('pool.dataset.delete', `${name} is an invalid location`);
  if (!recursive && core.zfs.children(name).length > 0) {
    throw new CallError(`Failed to delete dataset: cannot destroy ${pythonQuote(name)}: filesystem has children`, 'ENOTEMPTY');
  }
  datasetInstance(core, name);
  await detach(core, name);
  await pause();
  const destroyed: string[] = [];
  await core.zfs.transaction(async () => {
    const before = core.zfs.datasets().map((one) => one.name);
    try {
      await (core.release === '26.0' ? destroy26(core, name, recursive) : destroy25(core, name, recursive));
    } finally {
      destroyed.push(...before.filter((one) => core.zfs.dataset(one) === undefined));
    }
  });
  for (const one of destroyed) core.services.emit({ msg: 'removed', collection: 'pool.dataset.query', id: one });
  return true;
}

/** Extents, mappings and namespaces go straight from the database (no event); a target left without LUNs by its service (with one). */
async function detach(core: ArrayCore, name: string): Promise<void> {
  await detachExtents(core, name);
  const namespaces = attachedNamespaces(core, name);
  for (const one of namespaces) core.nvmet.namespaces.remove(one.id);
  if (namespaces.length > 0) await core.reloadNvmet();
}

async function detachExtents(core: ArrayCore, name: string): Promise<void> {
  const extents = attachedExtents(core, name);
  if (extents.length === 0) return;
  const orphans = new Set<number>();
  for (const extent of extents) {
    for (const mapping of core.iscsi.mappings.filter((one) => one.extent === extent.id)) {
      orphans.add(mapping.target);
      core.iscsi.mappings.remove(mapping.id);
    }
    core.iscsi.extents.remove(extent.id);
  }
  for (const id of orphans) {
    const target = core.iscsi.targets.get(id);
    if (target === undefined || core.iscsi.mappings.find((one) => one.target === id) !== undefined) continue;
    await removeTarget(core, target, true, false);
    core.services.emit({ msg: 'removed', collection: 'iscsi.target.query', id });
  }
  await core.reloadIscsi();
}

/** `zfs destroy [-r]`. */
async function destroy25(core: ArrayCore, name: string, recursive: boolean): Promise<void> {
  try {
    await (recursive ? core.snapshots.destroyRecursive(name) : core.datasets.destroy(name));
  } catch (error) {
    if (error instanceof ZfsError) {
      throw new CallError(`Failed to delete dataset: ${error.message}`, error.message.includes('dataset is busy') ? 'EBUSY' : 'EFAULT');
    }
    throw error;
  }
}

/** zfs.resource.destroy_impl as pool.dataset.delete of 26.0 uses it: what it answers about a failed destroy is thrown away. */
async function destroy26(core: ArrayCore, name: string, recursive: boolean): Promise<void> {
  const failed = await destroyResource(core, name, recursive);
  if (failed !== null) core.services.log(`pool.dataset.delete answers true although it failed: ${failed.message}`);
}

/** Errors: ValidationErrors at zfs.resource.destroy. Returned: what the channel program could not destroy, null when it did. */
export async function destroyResource(core: ArrayCore, name: string, recursive: boolean): Promise<ZfsError | null> {
  const schema = 'zfs.resource.destroy';
  if (name.startsWith('/')) throw validationError(schema, 'Absolute path is invalid. Must be in form of <pool>/<resource>.');
  if (name.endsWith('/')) throw validationError(schema, 'Path must not end with a forward-slash.');
  if (isInternalDataset(name)) throw validationError(schema, `${pythonQuote(name)} is a protected path.`, 'EACCES');
  if (name.includes('@')) throw validationError(schema, 'Use `zfs.resource.snapshot.destroy` to destroy snapshots.');
  if (!name.includes('/')) throw validationError(schema, 'Destroying the root filesystem is not allowed.');
  const record = core.zfs.dataset(name);
  if (record === undefined)
    throw validationError(schema, recursive ? `${pythonQuote(name)} not found` : `${pythonQuote(name)} does not exist.`, 'ENOENT');
  if (!recursive) {
    if (core.zfs.children(name).length > 0)
      throw validationError(schema, `${pythonQuote(name)} has children. ${RECURSIVE_HINT}`, 'ENOTEMPTY');
    if (core.zfs.snapshots(record).length > 0)
      throw validationError(schema, `${pythonQuote(name)} has snapshots. ${RECURSIVE_HINT}`, 'ENOTEMPTY');
  }
  try {
    if (recursive) await core.snapshots.destroyTree(name);
    else await core.datasets.destroy(name);
    return null;
  } catch (error) {
    if (error instanceof ZfsError) return error;
    throw error;
  }
}

async function promote(core: ArrayCore, name: string): Promise<null> {
  const modern = core.release === '26.0';
  await translated(
    () => core.zfs.transaction(() => core.clones.promote(name)),
    (error) => {
      if (error.code === 'not-found') {
        return modern
          ? validationError('zfs.resource.promote', `${pythonQuote(name)} not found`, 'ENOENT')
          : new CallError(`Dataset "${name}" does not exist.`, 'ENOENT');
      }
      if (error.code === 'not-a-clone') {
        return modern
          ? validationError('zfs.resource.promote', `${pythonQuote(name)} is ineligible for promotion.`)
          : new CallError('Only cloned datasets can be promoted.', 'EBADMSG');
      }
      return modern ? new CallError(error.message, 'EINVAL') : new CallError(`Failed to promote dataset: ${error.message}`);
    },
  );
  return null;
}
