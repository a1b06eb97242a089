import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import type { Release } from '../core/array-port.ts';
import { OutcomeUnknownError, RefusedError } from '../core/errors.ts';
import { isDeviceNotThereYet, refusal } from './error-map.ts';
import { wireError } from './wire/envelope.ts';
import type { ApiRequest, RequestFor } from './wire/request.ts';
import { read } from './wire/request.ts';
import { zvolCreate, zvolDelete, zvolResize } from './wire/datasets.ts';
import { extentCreate, extentDelete, mappingCreate, mappingDelete } from './wire/iscsi.ts';
import { snapshotCreate, snapshotDelete, snapshotRollback } from './wire/snapshots.ts';

const of = (build: RequestFor<unknown>, release: Release = '25.10'): ApiRequest<unknown> => build(release);
const create = of(zvolCreate({ id: 'tank/x', volsize: 512, volblocksize: 512, sparse: true, comments: '', userProperties: {} }));
const resize = of(zvolResize('tank/x', 1024, false));
const destroy = of(zvolDelete('tank/x'));
const extent = of(extentCreate({ name: 'x', zvol: 'tank/x', blocksize: 512, comment: '' }));
const map = of(mappingCreate(1, 2, 3));
const snap = of(snapshotCreate('tank/x', 's'));
const unsnap = of(snapshotDelete('tank/x@s'));
const back = of(snapshotRollback('tank/x@s'));

const callFailure = (error: number, reason: string): unknown => ({
  code: -32001,
  message: 'Method call error',
  data: { error, errname: 'X', reason, trace: { formatted: 'Traceback' }, extra: null },
});
const invalid = (...extra: unknown[]): unknown => ({
  code: -32602,
  message: 'Invalid params',
  data: { error: 22, errname: 'EINVAL', reason: '[EINVAL] x\n', extra },
});

describe('refusals of TrueNAS (truenas-api 9, 10, 11)', () => {
  it.each([
    ['suspended pool', create, callFailure(14, '[EFAULT] Failed to create dataset: pool I/O is currently suspended'), 'POOL_SUSPENDED'],
    ['suspended pool', snap, callFailure(14, '[EFAULT] Failed to snapshot tank/x@s: pool I/O is currently suspended'), 'POOL_SUSPENDED'],
    [
      'exists, 25.x',
      create,
      callFailure(14, "[EFAULT] Failed to create dataset: cannot create 'tank/x': dataset already exists"),
      'VOLUME_EXISTS',
    ],
    ['thick without space', create, callFailure(14, "[EFAULT] Failed to create dataset: cannot create 'tank/x': out of space"), 'NO_SPACE'],
    [
      '80 %',
      create,
      invalid(['pool_dataset_create.volsize', 'It is not recommended to use more than 80% of your available space for VOLUME', 22]),
      'NO_SPACE',
    ],
    ['parent missing', create, invalid(['pool_dataset_create.name', 'Parent dataset (tank/no) does not exist.', 22]), 'DATASET_MISSING'],
    ['pool missing', create, invalid(['pool_dataset_create.name', 'zpool (no) does not exist.', 22]), 'DATASET_MISSING'],
    [
      'parent missing, 25.04',
      create,
      invalid(['pool_dataset_create.name', 'Parent dataset does not exist for specified name', 22]),
      'DATASET_MISSING',
    ],
    ['parent is a zvol', create, invalid(['pool_dataset_create.name', 'tank/x: parent may not be a ZFS volume', 22]), 'DATASET_UNUSABLE'],
    [
      'parent read-only',
      create,
      invalid(['pool_dataset_create.readonly', 'Turn off readonly mode on tank to create tank/x', 22]),
      'DATASET_UNUSABLE',
    ],
    [
      'odd size',
      create,
      invalid(['pool_dataset_create.volsize', 'Volume size should be a multiple of volume block size', 22]),
      'SIZE_INVALID',
    ],
    ['bad name', create, invalid(['data.VOLUME.name', 'Value error, Please provide a valid dataset name', 22]), 'NAME_INVALID'],
    [
      'shrink',
      resize,
      invalid(['pool_dataset_update.volsize', 'You cannot shrink a zvol from GUI, this may lead to data loss.', 22]),
      'SHRINK_REFUSED',
    ],
    ['missing', resize, invalid(['id', 'tank/x does not exist', 2]), 'VOLUME_MISSING'],
    ['missing instance', destroy, invalid([null, 'PoolDataset tank/x does not exist', 2]), 'VOLUME_MISSING'],
    ['busy', destroy, callFailure(16, "[EBUSY] Failed to delete dataset: cannot destroy 'tank/x': dataset is busy"), 'VOLUME_BUSY'],
    ['clones', destroy, callFailure(14, "[EFAULT] cannot destroy 'tank/x': volume has dependent clones\nuse '-R'"), 'VOLUME_HAS_CLONES'],
    ['snapshots', destroy, callFailure(14, "[EFAULT] cannot destroy 'tank/x': volume has children\nuse '-r'"), 'CALL_REFUSED'],
    ['extent name', extent, invalid(['iscsi_extent_create.name', 'Extent name must be unique', 22]), 'VOLUME_EXISTS'],
    ['zvol in use', extent, invalid(['iscsi_extent_create.disk', 'Disk currently in use by extent y', 22]), 'VOLUME_BUSY'],
    ['extent missing', of(extentDelete(3)), invalid([null, 'ISCSITargetExtent 3 does not exist', 2]), 'EXPORT_MISSING'],
    ['mapping missing', of(mappingDelete(3)), invalid([null, 'x 3 does not exist', 2]), 'EXPORT_MISSING'],
    ['LUN taken', map, invalid(['iscsi_targetextent_create.lunid', 'LUN ID is already being used for this target.', 22]), 'LUN_CONFLICT'],
    ['mapped already', map, invalid(['iscsi_targetextent_create.extent', 'Extent is already in use.', 22]), 'VOLUME_BUSY'],
    ['no such extent', map, callFailure(22, '(sqlite3.IntegrityError) FOREIGN KEY constraint failed'), 'CALL_REFUSED'],
    ['snapshot exists, 25.x', snap, callFailure(17, '[EEXIST] Failed to snapshot tank/x@s: dataset already exists'), 'SNAPSHOT_EXISTS'],
    ['snapshot exists, 26.0', snap, invalid(['pool.snapshot.create', 's already exists.', 17]), 'SNAPSHOT_EXISTS'],
    [
      'clones, 25.x',
      unsnap,
      invalid(['options.defer', "Please set this attribute as 'tank/x@s' snapshot has dependent clones: tank/b", 22]),
      'SNAPSHOT_HAS_CLONES',
    ],
    [
      'clones, 26.0',
      unsnap,
      invalid(['zfs.resource.snapshot.destroy', "'tank/x@s' has the following clones: tank/b", 16]),
      'SNAPSHOT_HAS_CLONES',
    ],
    ['held, 26.0', unsnap, invalid(['zfs.resource.snapshot.destroy', "'tank/x@s' has the following holds: truenas", 16]), 'VOLUME_BUSY'],
    ['snapshot missing', unsnap, invalid([null, 'Snapshot tank/x@s does not exist', 2]), 'SNAPSHOT_MISSING'],
    [
      'newer snapshots, 25.x',
      back,
      callFailure(14, "[EFAULT] Failed to rollback snapshot: cannot rollback to 'x': more recent snapshots or bookmarks exist"),
      'ROLLBACK_BLOCKED',
    ],
    [
      'newer snapshots, 26.0',
      back,
      callFailure(22, '[EINVAL] Cannot rollback: more recent snapshots or bookmarks exist. Please pass `recursive: true`'),
      'ROLLBACK_BLOCKED',
    ],
    ['no role', create, callFailure(13, '[EACCES] Not authorized'), 'NOT_AUTHORIZED'],
    [
      'no role, told without extra',
      create,
      { code: -32001, message: 'x', data: { error: 13, reason: '[EACCES] Not authorized' } },
      'NOT_AUTHORIZED',
    ],
  ])('%s', (_, request, wire, code) => {
    const error = refusal(request, wireError.parse(wire));
    expect(error).toBeInstanceOf(RefusedError);
    expect(error.code).toBe(code);
    expect(error.message).not.toMatch(/Traceback|\[E[A-Z]+\]/);
  });

  it('takes the true errno from extra, not the EINVAL around it', () => {
    const error = refusal(destroy, wireError.parse(invalid([null, 'PoolDataset tank/x does not exist', 2])));
    expect(error).toMatchObject({ errno: 2, extra: [{ attribute: null, errno: 2 }] });
  });

  it('does not take "Method does not exist" for a missing volume (F-313)', () => {
    const error = refusal(destroy, wireError.parse({ code: -32601, message: 'Method does not exist' }));
    expect(error.code).toBe('CALL_REFUSED');
  });

  it('does not know the outcome of a create that crashed in the middle (F-301)', () => {
    const crash = callFailure(22, 'Object of type _NotRequired is not JSON serializable');
    expect(refusal(create, wireError.parse(crash))).toBeInstanceOf(OutcomeUnknownError);
    const question = read('pool.dataset.query', [], 'read', z.unknown());
    expect(refusal(question, wireError.parse(crash))).toBeInstanceOf(RefusedError);
  });

  it('does not know the outcome of a mapping whose service reload failed', () => {
    const reload = callFailure(202, '[ESERVICESTARTFAILURE] The iscsitarget service failed to start');
    expect(refusal(map, wireError.parse(reload))).toBeInstanceOf(OutcomeUnknownError);
  });

  it.each([
    [{ code: -32001, message: 'x', data: { error: 'EFAULT', extra: 'text', reason: 5 } }],
    [{ code: -32602, message: 7, data: { extra: [[1, 2, 3]], reason: null } }],
    [{ code: -32602, data: { extra: [] } }],
    [{ code: -1, message: '', data: null }],
    [{ code: -32001, message: 'x', data: { reason: `[EFAULT] ${'y'.repeat(100_000)}`, error: 14 } }],
  ])('makes an error of any envelope: %#', (wire) => {
    const error = refusal(resize, wireError.parse(wire));
    expect(error.message.startsWith('resize zvol')).toBe(true);
    expect(error.message.length).toBeLessThan(800);
  });

  it('waits for a device node on exactly one refusal (F-303)', () => {
    const text = "Device '/dev/zvol/tank/x' for volume 'tank/x' does not exist";
    const yes = refusal(extent, wireError.parse(invalid(['iscsi_extent_create.disk', text, 22])));
    expect(isDeviceNotThereYet(yes)).toBe(true);
    for (const other of [
      invalid(['iscsi_extent_create.name', text, 22]),
      invalid(['iscsi_extent_create.disk', 'This field is required', 22]),
      invalid(['iscsi_extent_create.disk', text, 22], ['iscsi_extent_create.name', 'Extent name must be unique', 22]),
      callFailure(14, `[EFAULT] ${text}`),
    ]) {
      expect(isDeviceNotThereYet(refusal(extent, wireError.parse(other)))).toBe(false);
    }
  });
});

describe('the array’s own words (F-004)', () => {
  const TRACE = [
    'Traceback (most recent call last):',
    '  File "/usr/lib/python3/dist-packages/middlewared/api/base/server/ws_handler/rpc.py", line 323, in process_method_call',
    '    result = await method.call(app, id_, params)',
    '             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^',
    '  File "/usr/lib/python3/dist-packages/middlewared/utils/connection.py", line 12, in send',
    '    raise ValueError("the WebSocket closed=False")',
  ].join('\n');
  const said = (error: unknown): string => refusal(destroy, wireError.parse(error)).message;

  it('leaves tracebacks out, wherever they stand', () => {
    const payloads = [
      callFailure(14, `[EFAULT] the pool is suspended\n${TRACE}\nValueError: x`),
      {
        code: -32001,
        message: 'x',
        data: { error: 14, reason: '[EFAULT] the pool is suspended', trace: { class: 'X', formatted: TRACE, frames: [] }, extra: null },
      },
      { code: -32001, message: 'x', data: { error: 14, reason: '[EFAULT] the pool is suspended', extra: TRACE } },
      { code: -32001, message: 'x', data: { error: 14, reason: '[EFAULT] the pool is suspended', extra: { trace: TRACE } } },
      invalid(['options', `the pool is suspended\n${TRACE}`, 14]),
    ];
    for (const payload of payloads) {
      expect(said(payload)).toContain('the pool is suspended');
      expect(said(payload)).not.toMatch(/Traceback|File "|connection\.py|ws_handler|raise /);
    }
  });

  it('keeps the exception of a reason that is nothing but a traceback', () => {
    expect(said(callFailure(14, `${TRACE}\nValueError: pool 'tank' is suspended\n`))).toMatch(/: ValueError: pool 'tank' is suspended$/);
    expect(said(callFailure(14, TRACE))).toMatch(/: refused without a reason$/);
    expect(said(callFailure(14, `${TRACE.split('\n').slice(1).join('\n')}\nOSError: gone`))).toMatch(/: OSError: gone$/);
  });

  it('shows one line of bounded length without control characters', () => {
    const odd = said(callFailure(14, 'a\u0000b\u001b[2Jc\u202ed\r\n\te\u2028f'));
    expect(odd).toMatch(/: a b \[2Jc d e f$/);
    const long = said(callFailure(14, 'x'.repeat(2 ** 20)));
    expect(long.length).toBeLessThan(800);
    const many = said(invalid(...Array.from({ length: 20_000 }, (_, at) => [`a.${at}`, 'wrong', 22])));
    expect(many.length).toBeLessThan(800);
  });
});
