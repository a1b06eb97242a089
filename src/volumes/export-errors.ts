import type { Extent, Mapping, Target, Zvol } from '../core/array-port.ts';
import type { ErrorCode } from '../core/error-catalogue.ts';
import { OutcomeUnknownError, RefusedError, StorageError } from '../core/errors.ts';
import type { Deadline } from '../core/ports.ts';
import type { StorageContext } from './context.ts';
import { LUN_NUMBERS } from './lun-allocator.ts';

/** Codes that say nothing about why an extent could not be made, or would be taken for something about the volume. */
const UNCLEAR: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'CALL_REFUSED',
  'VOLUME_EXISTS',
  'VOLUME_MISSING',
  'EXPORT_MISSING',
  'SIZE_INVALID',
]);

/**
 * A failed creation of an extent with what it was for, the likely causes in order and where to look. A refusal that has a
 * clear code of its own keeps it; one whose outcome is unknown and a call that was never sent stay what they are.
 */
export function extentFailed(context: StorageContext, zvol: Zvol, name: string, error: unknown): unknown {
  if (!(error instanceof RefusedError) || error instanceof OutcomeUnknownError) return error;
  const { config } = context;
  const volume = zvol.id.slice(zvol.id.lastIndexOf('/') + 1);
  const code = UNCLEAR.has(error.code) ? 'EXTENT_FAILED' : error.code;
  const message =
    `cannot make the iSCSI extent '${name}' of volume '${config.id}:${volume}' ` +
    `(dataset '${config.dataset}', zvol path 'zvol/${zvol.id}'): ${error.message}`;
  return new StorageError(code, message, {
    causes: extentCauses(context, zvol, name, error),
    hints: [
      'TrueNAS: System > Services > iSCSI: running, and Start Automatically set',
      `TrueNAS: Datasets > ${config.dataset}: is the zvol '${volume}' there? In TrueNAS's shell: ls -l /dev/zvol/${zvol.id}`,
      'TrueNAS: Shares > Block (iSCSI) Shares Targets > Extents: who has this name or this zvol',
      'TrueNAS: Credentials > Groups > Privileges: the role SHARING_ISCSI_EXTENT_WRITE',
      'on TrueNAS: /var/log/middlewared.log',
    ],
    facts: { ...error.facts, volume, dataset: config.dataset, zvol: zvol.id, extent: name },
    cause: error,
  });
}

/** The four causes, the one that the refusal itself points at first. */
function extentCauses(context: StorageContext, zvol: Zvol, name: string, error: RefusedError): readonly string[] {
  const causes = {
    service: `the iSCSI service on ${context.config.apiHost} is not running`,
    device: `the zvol was made, but its device /dev/zvol/${zvol.id} is not there yet`,
    role: 'the API key lacks the role SHARING_ISCSI_EXTENT_WRITE',
    name: `the extent name '${name}' is taken already`,
  };
  const attribute = error.extra[0]?.attribute?.split('.').at(-1);
  const told = error.code === 'NOT_AUTHORIZED' ? 'role' : attribute === 'disk' ? 'device' : attribute === 'name' ? 'name' : null;
  if (told === null) return Object.values(causes);
  return [causes[told], ...Object.entries(causes).flatMap(([key, cause]) => (key === told ? [] : [cause]))];
}

/**
 * Who has a LUN number of a target, for people: extent and disk of each mapping but `own`. An extent that the inventory
 * does not know is read; null when nobody has the number.
 */
export async function lunHolder(
  context: StorageContext,
  target: Target,
  lun: number,
  own: Mapping | null,
  deadline: Deadline,
): Promise<string | null> {
  const { inventory } = context;
  const holders = [...inventory.mappings.entries.values()].filter(
    (one) => one.target === target.id && one.lun === lun && one.id !== own?.id,
  );
  if (holders.length === 0) return null;
  const texts = holders.map(async (mapping) => {
    const extent =
      inventory.extents.entries.get(mapping.extent) ?? (await inventory.extents.refresh(mapping.extent, deadline).catch(() => null));
    return describeHolder(mapping, extent);
  });
  return (await Promise.all(texts)).join(' and ');
}

function describeHolder(mapping: Mapping, extent: Extent | null): string {
  if (extent === null) return `extent ${mapping.extent} (mapping ${mapping.id})`;
  return `extent '${extent.name}' of ${extent.disk === null ? 'a file' : `'${extent.disk}'`}`;
}

const MAPPINGS = 'TrueNAS: Shares > Block (iSCSI) Shares Targets > Associated Targets';

/** A LUN number that was asked for, or that was to be taken, belongs to somebody else. */
export function lunTaken(target: Target, lun: number, holder: string | null, tried: number, cause?: unknown): StorageError {
  const who = holder === null ? 'by a mapping that is gone again' : `by ${holder}`;
  const message =
    tried === 1
      ? `LUN ${lun} of target '${target.iqn}' is taken ${who}`
      : `${tried} LUN numbers of target '${target.iqn}' in turn were taken by others, the last one, ${lun}, ${who}`;
  return new StorageError('LUN_CONFLICT', message, {
    causes: ['another node or program maps extents to this target at the same time'],
    hints: ['try again', MAPPINGS],
    facts: { target: target.iqn, lun, holder },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Every number of the target is mapped. */
export function lunExhausted(target: Target, used: number): StorageError {
  const { lowest, highest } = LUN_NUMBERS;
  return new StorageError(
    'LUN_EXHAUSTED',
    `no free LUN number is left on target '${target.iqn}': ${used} are mapped, of ${lowest} to ${highest} that TrueNAS has`,
    {
      causes: ['the target serves as many volumes as a target can'],
      hints: [`${MAPPINGS}: mappings that nobody needs`, 'make a second target and a storage of its own for it', 'pve-truenas list'],
      facts: { target: target.iqn, used },
    },
  );
}
