import { asStorageError } from '../../core/errors.ts';
import type { Deadline } from '../../core/ports.ts';
import type { InspectContext } from './inspect-context.ts';
import { type Check, critical, failed, ok } from './check.ts';
import { judgeSpace } from './space.ts';

/** The parent dataset, read now: there, a file system, writable; and with it the space. */
export async function inspectDataset(context: InspectContext, deadline: Deadline): Promise<readonly Check[]> {
  const { config, inventory } = context;
  const bad = (message: string, cure: string): readonly Check[] => [critical('dataset', message, { setting: 'dataset', cure })];
  try {
    const info = await inventory.refreshDataset(config.dataset, deadline);
    if (info.type !== 'FILESYSTEM') {
      return bad(`'${config.dataset}' is a zvol, not a dataset`, 'name a dataset (file system) that holds the volumes');
    }
    if (info.readonly) return bad(`dataset '${config.dataset}' is read-only`, 'TrueNAS: Datasets > Edit > Read-only: Off');
    if (info.locked) return bad(`dataset '${config.dataset}' is locked`, 'TrueNAS: Datasets > Unlock');
    await inventory.zvolCollection(config.dataset).all(deadline);
    return [ok('dataset', `${config.dataset} can be written`), ...judgeSpace(context, info)];
  } catch (thrown) {
    return [failed('dataset', asStorageError(thrown), 'dataset')];
  }
}
