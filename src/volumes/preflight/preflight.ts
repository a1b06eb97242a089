import { asStorageError, StorageError } from '../../core/errors.ts';
import { formatSize } from '../../core/sizes.ts';
import type { Deadline } from '../../core/ports.ts';
import type { StorageContext } from '../context.ts';
import { type Check, failed } from '../inspect/check.ts';
import { lookAtConnection, PREFLIGHT_LOOKS } from './checks.ts';
import { type PreflightRequest, PreflightRun } from './run.ts';

/** What several checks miss, each in its own words. */
const ECHOED: ReadonlySet<string> = new Set(['DATASET_MISSING', 'TARGET_MISSING']);

/** One thing that was looked at. `error` is set where the state is `critical`. */
export interface PreflightCheck extends Check {
  readonly error?: StorageError;
}

/**
 * Looks at everything an operation needs, all at once; changes nothing, failures are in the answer. While the inventory says
 * that all is well, the array is not asked. Where it does not, or where `fresh` asks for it, everything is read now, in one
 * round trip: so nothing is refused on what was true a while ago, and the failures are all of them.
 */
export async function preflight(
  context: StorageContext,
  request: PreflightRequest,
  deadline: Deadline,
  fresh = false,
): Promise<readonly PreflightCheck[]> {
  if (context.array.connection().state !== 'ready') {
    // Without a session there is nothing that the others could look at.
    const connection = await checked('connection', lookAtConnection(new PreflightRun(context, request, deadline, false)));
    if (connection?.error !== undefined) return [connection];
  }
  if (fresh) return lookAtAll(new PreflightRun(context, request, deadline, true));
  const known = await lookAtAll(new PreflightRun(context, request, deadline, false));
  const doubted = known.some((check) => check.error !== undefined) && !known.some((check) => check.error?.kind === 'unavailable');
  return doubted ? lookAtAll(new PreflightRun(context, request, deadline, true)) : known;
}

async function lookAtAll(run: PreflightRun): Promise<readonly PreflightCheck[]> {
  const looks = Object.entries({ connection: lookAtConnection, ...PREFLIGHT_LOOKS });
  const checks = await Promise.all(looks.map(([name, look]) => checked(name, look(run))));
  return withoutEchoes(checks.filter((check) => check !== null));
}

/**
 * Refuses an operation before its first change when one of the checks fails, with all failures in one error; otherwise
 * leaves one line in the log that says what was checked.
 * Errors: PREFLIGHT_FAILED, or the single failure's own code.
 */
export async function assertPreflight(context: StorageContext, request: PreflightRequest, deadline: Deadline): Promise<void> {
  const checks = await preflight(context, request, deadline);
  const failures = checks.filter((check) => check.error !== undefined);
  const about = { operation: request.operation, ...aboutOf(request) };
  for (const { name } of failures) {
    context.meter.count('pve_truenas_preflight_failures_total', { storage: context.config.id, check: name });
  }
  if (failures.length > 0) throw refusalOf(context, request, failures);
  for (const { name, message } of checks.filter((check) => check.state === 'warning')) {
    context.log.warn(`pre-flight: ${name}: ${message}`, about);
  }
  context.log.info('pre-flight checks passed', { ...about, checks: checks.map(({ name, message }) => `${name}: ${message}`) });
}

async function checked(name: string, look: Promise<Check | null>): Promise<PreflightCheck | null> {
  try {
    return await look;
  } catch (thrown) {
    const error = asStorageError(thrown);
    if (error.kind === 'bug') throw error;
    return { ...failed(name, error), error };
  }
}

/**
 * One cause, one failure: a lost session fails every check that asks, and is told once, as the connection's; what is missing
 * is told by the first check that misses it.
 */
function withoutEchoes(checks: readonly PreflightCheck[]): readonly PreflightCheck[] {
  const lost = checks.find((check) => check.error?.kind === 'unavailable');
  const seen = new Set<string>();
  const kept = checks.filter(({ name, error, message }) => {
    if (lost !== undefined && (name === 'connection' || error?.kind === 'unavailable')) return false;
    if (error === undefined) return true;
    const fault = ECHOED.has(error.code) ? error.code : message;
    const first = !seen.has(fault);
    seen.add(fault);
    return first;
  });
  return lost === undefined ? kept : [{ ...lost, name: 'connection' }, ...kept];
}

function aboutOf(request: PreflightRequest): Record<string, unknown> {
  if (request.operation === 'allocate') return { guest: request.vmid, volume: request.name, size: formatSize(request.size) };
  if (request.operation === 'rollback') return { volume: request.volume, snapshot: request.snapshot };
  return { volume: request.volume, size: request.size === undefined ? undefined : formatSize(request.size) };
}

function refusalOf(context: StorageContext, request: PreflightRequest, failures: readonly PreflightCheck[]): StorageError {
  const errors = failures.flatMap(({ name, error }) => (error === undefined ? [] : [{ name, error }]));
  const [only] = errors;
  if (only !== undefined && errors.length === 1) return unchanged(only.error);
  return new StorageError(
    'PREFLIGHT_FAILED',
    [`Pre-flight checks failed for ${whatOf(context, request)}:`, ...errors.map(({ name, error }) => item(name, error.message))].join('\n'),
    {
      causes: errors.flatMap(({ name, error }) => error.causes.slice(0, 1).map((cause) => `${name}: ${cause}`)),
      hints: errors.flatMap(({ name, error }) => error.hints.slice(0, 2).map((hint) => `${name}: ${hint}`)),
      state: 'nothing was changed',
      facts: { checks: errors.map(({ name, error }) => ({ name, code: error.code, message: error.message })) },
      cause: only?.error,
    },
  );
}

/** `  - name: message`, further lines of the message below it. */
function item(name: string, message: string): string {
  return `  - ${name}: ${message.split('\n').join('\n    ')}`;
}

function whatOf({ config }: StorageContext, request: PreflightRequest): string {
  switch (request.operation) {
    case 'allocate': {
      const what = request.name ?? (request.vmid === undefined ? 'a volume' : `a disk of guest ${request.vmid}`);
      return `allocating ${what} of ${formatSize(request.size)} on storage '${config.id}'`;
    }
    case 'clone':
      return `cloning '${config.id}:${request.volume}'`;
    case 'resize':
      return `resizing '${config.id}:${request.volume}' to ${formatSize(request.size)}`;
    case 'rollback':
      return `rolling back '${config.id}:${request.volume}' to '${request.snapshot}'`;
  }
}

/** The failure as it is, with what state things are in; one of the connection says that itself. */
function unchanged(error: StorageError): StorageError {
  return error.state !== undefined || error.kind === 'unavailable' ? error : error.leaving('nothing was changed');
}
