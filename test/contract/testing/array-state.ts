import type { Simulator } from '../../../sim/server/launch.ts';
import { TestingClient } from '../../../sim/server/testing-client.ts';

/** Rows of each collection. */
export type ArrayState = Readonly<Record<string, readonly unknown[]>>;

const COLLECTIONS = [
  'pool.dataset',
  'service',
  'iscsi.portal',
  'iscsi.initiator',
  'iscsi.target',
  'iscsi.extent',
  'iscsi.targetextent',
  'user',
  'group',
  'privilege',
  'api_key',
] as const;
const NVME = ['subsys', 'namespace', 'host', 'port', 'host_subsys', 'port_subsys'].map((name) => `nvmet.${name}`);

/** Everything that the API shows of a simulated array, without ids, hashes and times. Logs in once. */
export async function arrayState(sim: Simulator): Promise<ArrayState> {
  const client = await TestingClient.open(sim);
  await client.call('auth.login_ex', { mechanism: 'API_KEY_PLAIN', username: sim.username, api_key: sim.apiKey });
  const found: Record<string, readonly unknown[]> = {};
  for (const name of [...COLLECTIONS, ...(sim.release === '25.04' ? [] : NVME)]) {
    const { result, error } = await client.call(`${name}.query`);
    if (error !== undefined) throw new Error(`${name}: ${error.message}`);
    found[name] = (result as readonly unknown[]).map(plain);
  }
  client.socket.terminate();
  return found;
}

/** Each row of each collection but the service, which setup may start. */
export function rowsOf(state: ArrayState): readonly string[] {
  const collections = Object.entries(state).filter(([name]) => name !== 'service');
  return collections.flatMap(([name, rows]) => rows.map((row) => `${name} ${JSON.stringify(row)}`));
}

/** In part names that are ids or times where they stand; `serial` is random. */
const VOLATILE =
  /^(?:id|uid|gid|tag|index|rel_tgt_id|keyhash|stored_key|server_key|salt|user_identifier|created_at|creation|api_keys|portal|initiator|bsdgrp_gid|users|used.*|available|children|serial)$/;

function plain(value: unknown): unknown {
  // Base name of the array's NVMe-oF subsystems: each simulator has its own.
  if (typeof value === 'string') return value.replace(/^(nqn\.2011-06\.com\.truenas:uuid:)[0-9a-f-]{36}/, '$1');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  // Of iSCSI: each simulator listens elsewhere. That of NVMe-oF is an object.
  const kept = Object.entries(value).filter(([key, entry]) => !VOLATILE.test(key) && !(key === 'port' && typeof entry === 'number'));
  // Datasets have no other name than their id.
  const id = 'id' in value && typeof value.id === 'string' ? { id: value.id } : {};
  return { ...id, ...Object.fromEntries(kept.map(([key, entry]) => [key, plain(entry)])) };
}
