import { createHash, randomUUID } from 'node:crypto';
import * as z from 'zod';
import type { ArrayCore } from '../state/array-core.ts';
import type { Access, SimMethod, SimRelease } from './contract.ts';
import { method, roles } from './method.ts';
import { queryParams } from './query-params.ts';

const VERSIONS: Readonly<Record<SimRelease, string>> = { '25.04': '25.04.2.6', '25.10': '25.10.6', '26.0': '26.0.0-BETA.3' };
/** when the release was built, ms */
const BUILD_TIMES: Readonly<Record<SimRelease, number>> = {
  '25.04': 1_761_609_600_000,
  '25.10': 1_785_801_600_000,
  '26.0': 1_785_715_200_000,
};
const CORES = 8;
const MEMORY = 34_359_738_368;

/** Stays with the array, whatever process serves it. */
export interface Identity {
  readonly hostId: string;
  readonly globalId: string;
}

export const identitySchema = z.strictObject({ hostId: z.string().regex(/^[0-9a-f]{64}$/), globalId: z.string().min(1) });

export function newIdentity(): Identity {
  const globalId = randomUUID();
  return { hostId: createHash('sha256').update(globalId).digest('hex'), globalId };
}

const anyLogin = (): Access => 'any-login';

/** system.*, alert.* and interface.query: enough for a client to know whom it speaks to (truenas-api 8). */
export function systemMethods(core: ArrayCore, identity: () => Identity, bootId: string, bootTime: number): SimMethod[] {
  const version = VERSIONS[core.release];
  const readOnlyAdmin = roles('READONLY_ADMIN');
  const stateAccess = (release: SimRelease): Access => (release === '25.04' ? 'full-admin' : { roles: ['SYSTEM_GENERAL_READ'] });
  return [
    method('system.version', anyLogin, [], () => `TrueNAS-${version}`),
    method('system.version_short', anyLogin, [], () => version),
    method(
      'system.product_type',
      (release) => ({ roles: [release === '25.04' ? 'READONLY_ADMIN' : 'SYSTEM_PRODUCT_READ'] }),
      [],
      () => 'COMMUNITY_EDITION',
    ),
    method('system.host_id', readOnlyAdmin, [], () => identity().hostId),
    method('system.global.id', readOnlyAdmin, [], () => identity().globalId),
    method(
      'system.boot_id',
      () => 'no-auth',
      [],
      () => bootId,
    ),
    method('system.ready', stateAccess, [], () => true),
    method('system.state', stateAccess, [], () => 'READY'),
    method('system.info', readOnlyAdmin, [], () => systemInfo(core, version, bootTime)),
    method('alert.list', roles('ALERT_LIST_READ'), [], () => []),
    method(
      'interface.query',
      roles('NETWORK_INTERFACE_READ'),
      (release) => queryParams(release, true),
      () => [interfaceEntry(core.release, core.addresses)],
      { query: true },
    ),
  ];
}

function systemInfo(core: ArrayCore, version: string, bootTime: number): Record<string, unknown> {
  const now = core.services.now();
  const seconds = Math.max(0, (now - bootTime) / 1000);
  const hours = Math.floor(seconds / 3600);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  return {
    version,
    buildtime: { $date: BUILD_TIMES[core.release] },
    hostname: 'truenas',
    physmem: MEMORY,
    model: 'pve-truenas simulator',
    cores: CORES,
    physical_cores: CORES,
    loadavg: [0.1, 0.1, 0.1],
    uptime: `${hours}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`,
    uptime_seconds: seconds,
    system_serial: null,
    system_product: 'pve-truenas simulator',
    system_product_version: null,
    license: null,
    boottime: { $date: bootTime },
    datetime: { $date: now },
    timezone: 'UTC',
    system_manufacturer: 'pve-truenas',
    ecc_memory: false,
  };
}

function interfaceEntry(release: SimRelease, addresses: readonly string[]): Record<string, unknown> {
  const aliases = addresses.map((address) => {
    const bits = address.includes(':') ? 64 : 24;
    return { type: address.includes(':') ? 'INET6' : 'INET', address, netmask: release === '25.04' ? String(bits) : bits };
  });
  return {
    id: 'sim0',
    name: 'sim0',
    fake: false,
    type: 'PHYSICAL',
    state: {
      name: 'sim0',
      orig_name: 'sim0',
      description: '',
      mtu: 1500,
      cloned: false,
      flags: ['UP', 'RUNNING'],
      nd6_flags: [],
      capabilities: [],
      link_state: 'LINK_STATE_UP',
      media_type: 'Ethernet',
      media_subtype: 'autoselect',
      active_media_type: 'Ethernet',
      active_media_subtype: 'Unknown',
      supported_media: [],
      media_options: null,
      link_address: '02:00:00:00:00:01',
      permanent_link_address: null,
      hardware_link_address: '02:00:00:00:00:01',
      rx_queues: 1,
      tx_queues: 1,
      aliases,
    },
    aliases,
    ipv4_dhcp: false,
    ipv6_auto: false,
    description: '',
    mtu: null,
  };
}
