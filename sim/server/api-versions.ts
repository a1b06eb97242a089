import { CallError, type SimRelease } from '../api/contract.ts';

const V25_04 = ['v25.04.0', 'v25.04.1', 'v25.04.2'];
const V25_10 = ['v25.10.0', 'v25.10.1', 'v25.10.2', 'v25.10.3', 'v25.10.4', 'v25.10.5'];

/** `GET /api/versions`: oldest first, v24.10 filtered out (truenas-api 1). */
export const API_VERSIONS: Readonly<Record<SimRelease, readonly string[]>> = {
  '25.04': V25_04,
  '25.10': [...V25_04, ...V25_10],
  '26.0': [...V25_04, ...V25_10, 'v26.0.0'],
};

/** Routed, though it serves no method that has a model. */
const OLDEST = 'v24.10';

/** The version of `/api/<segment>`: null for the newest, undefined when the server does not know it. */
export function pathVersion(release: SimRelease, segment: string): string | null | undefined {
  if (segment === 'current') return null;
  if (segment === OLDEST) return OLDEST;
  const versions = API_VERSIONS[release];
  if (!versions.includes(segment)) return undefined;
  return segment.startsWith(`v${release}`) ? null : segment;
}

const ON_25_04_PATH = [
  /^pool\.query$/,
  /^pool\.get_instance$/,
  /^pool\.dataset\./,
  /^pool\.snapshot\./,
  /^zfs\./,
  /^system\.(info|version|version_short)$/,
  /^service\./,
  /^core\.(get_jobs|job_wait|job_abort|bulk|get_methods|get_services)$/,
  /^auth\.login_with_api_key$/,
  /^nvmet\./,
];
const ON_25_10_PATH = [/^iscsi\.global\.sessions$/, /^zfs\.resource\.destroy$/, /^zfs\.resource\.snapshot\./];

/** Methods that a newer server does not serve on an older path (truenas-api 1.1). Errors: CallError ENOMETHOD. */
export function checkPathServes(release: SimRelease, version: string | null, method: string): void {
  if (version === null) return;
  const missing =
    version === OLDEST
      ? [/^(?!core\.(ping|set_options|subscribe|unsubscribe)$)/]
      : version.startsWith('v25.04')
        ? [...ON_25_04_PATH, ...(release === '26.0' ? ON_25_10_PATH : [])]
        : ON_25_10_PATH;
  if (!missing.some((pattern) => pattern.test(method))) return;
  const dot = method.lastIndexOf('.');
  throw new CallError(`Method '${method.slice(dot + 1)}' not found in '${method.slice(0, dot)}'`, 'ENOMETHOD');
}
