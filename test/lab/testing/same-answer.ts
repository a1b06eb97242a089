import { isDeepStrictEqual } from 'node:util';
import { CallError, PythonError, ValidationErrors } from '../../../sim/api/contract.ts';
import type { ArrayDriver } from '../../../sim/state/array-driver.ts';
import { ZfsError } from '../../../sim/state/zfs/zfs-error.ts';
import { HOLD_OPEN, type RandomCall } from './random-calls.ts';

/** bytes by which numbers of space may differ: ZFS's own metadata (sim/README.md, memory and lab) */
export const TOLERANCE = 8 * 1_048_576;
/** Random, or times and numbers of transaction groups. */
const INDIVIDUAL = new Set([
  'guid',
  'createtxg',
  'creation',
  'naa',
  'serial',
  'device_uuid',
  'device_nguid',
  'objsetid',
  'subnqn',
  'basenqn',
]);
const SPACE = new Set([
  'used',
  'available',
  'referenced',
  'usedbydataset',
  'usedbysnapshots',
  'usedbychildren',
  'usedbyrefreservation',
  'written',
  'allocated',
  'allocated_str',
  'free',
  'free_str',
  'size_str',
]);
/** Of data that memory has none of. */
const OF_DATA = new Set(['logicalused', 'logicalreferenced', 'compressratio', 'refcompressratio']);

export type Answer = { readonly result: unknown } | { readonly error: readonly unknown[] };

/** What the array answers, errors as class and words. Other errors pass: they are defects. */
export async function answer(driver: ArrayDriver, { method, args }: RandomCall): Promise<Answer> {
  try {
    if (method === HOLD_OPEN) return { result: await holdOpen(driver, String(args[0]), args[1] === true) };
    return { result: await driver.call(method, ...args) };
  } catch (error) {
    if (error instanceof ZfsError) return { error: ['ZfsError', error.code] };
    if (error instanceof ValidationErrors) return { error: ['ValidationErrors', ...error.items] };
    if (error instanceof CallError) return { error: ['CallError', error.errname, error.text, error.extra] };
    if (error instanceof PythonError) return { error: [error.className, error.message] };
    throw error;
  }
}

/** Fault of the simulator: something on the array has the zvol open, or no longer. */
async function holdOpen(driver: ArrayDriver, zvol: string, open: boolean): Promise<string> {
  const found = await driver.call('pool.dataset.query', [['id', '=', zvol]]);
  const [dataset] = Array.isArray(found) ? (found as readonly { readonly type?: unknown }[]) : [];
  if (dataset?.type !== 'VOLUME') return 'no zvol';
  await driver.array.controls.holdZvol(zvol, open);
  return 'done';
}

/** Whether numbers of space are compared: the lab knows those of datasets that a change did not name only when it has read the whole pool. */
export type Tolerance = 'space' | 'no space';

/** Where the two differ first, as `path: memory / lab`; null when they are the same. */
export function difference(memory: unknown, lab: unknown, tolerance: Tolerance = 'space', path = ''): string | null {
  const name = path.slice(path.lastIndexOf('.') + 1);
  if (INDIVIDUAL.has(name) || OF_DATA.has(name)) return null;
  if (SPACE.has(name)) return tolerance === 'no space' || near(bytes(memory), bytes(lab)) ? null : shown(path, memory, lab);
  if (Array.isArray(memory) && Array.isArray(lab)) {
    if (memory.length !== lab.length) return shown(path, memory, lab);
    return first(memory.keys(), (index) => difference(memory[index], lab[index], tolerance, `${path}.${index}`));
  }
  if (isObject(memory) && isObject(lab)) {
    const keys = new Set([...Object.keys(memory), ...Object.keys(lab)]);
    return first(keys, (key) => difference(memory[key], lab[key], tolerance, `${path}.${key}`));
  }
  return isDeepStrictEqual(memory, lab) ? null : shown(path, memory, lab);
}

function first<T>(all: Iterable<T>, look: (one: T) => string | null): string | null {
  for (const one of all) {
    const found = look(one);
    if (found !== null) return found;
  }
  return null;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Of a property in any of its shapes. */
function bytes(value: unknown): number {
  if (isObject(value)) return bytes(value['rawvalue'] ?? value['raw']);
  return Number(value);
}

const near = (a: number, b: number): boolean => Math.abs(a - b) <= TOLERANCE || (Number.isNaN(a) && Number.isNaN(b));

function shown(path: string, memory: unknown, lab: unknown): string {
  const text = (value: unknown): string => (value === undefined ? 'nothing' : JSON.stringify(value));
  return `${path}: ${text(memory)} / ${text(lab)}`;
}
