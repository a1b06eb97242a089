import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import Ajv2020 from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SIM_RELEASES, type SimRelease } from '../../sim/api/contract.ts';
import { launchSimulator, type Simulator } from '../../sim/server/launch.ts';
import { TestingClient, type Reply } from '../../sim/server/testing-client.ts';

interface MethodSchema {
  readonly argNames: readonly string[];
  readonly args: object;
  readonly result?: object;
  readonly legacy?: boolean;
}
type Schemas = Readonly<Record<string, MethodSchema>>;

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const folder = process.env['TRUENAS_SCHEMAS'] ?? join(root, '../shared/reference/truenas-schemas');
const present = SIM_RELEASES.every((release) => existsSync(join(folder, `${release}.json`)));
if (!present) console.warn(`simulator against TrueNAS's schemas: left out, ${folder} is absent (set TRUENAS_SCHEMAS)`);

const GIB = 1024 ** 3;

/** One call of every modelled kind; ids found in answers are passed on by name. */
class Drive {
  readonly problems: string[] = [];
  readonly called = new Set<string>();
  readonly #client: TestingClient;
  readonly #schemas: Schemas;
  readonly #ajv = new Ajv2020.Ajv2020({ strict: false, allErrors: true });

  constructor(client: TestingClient, schemas: Schemas) {
    this.#client = client;
    this.#schemas = schemas;
  }

  /** Calls, and holds request and answer against the schema. A refusal is a problem. */
  async call(method: string, ...params: unknown[]): Promise<unknown> {
    const reply = await this.#client.call(method, ...params);
    this.check(method, params, reply);
    return reply.result;
  }

  /** A call whose schema was not published: it must succeed. */
  async unpublished(method: string, ...params: unknown[]): Promise<unknown> {
    expect(this.#schemas[method], `${method} is published: hold it against its schema`).toBeUndefined();
    const reply = await this.#client.call(method, ...params);
    if (reply.error !== undefined) this.problems.push(`${method}: ${reply.error.message} ${reply.error.data?.reason ?? ''}`);
    return reply.result;
  }

  check(method: string, params: readonly unknown[], reply: Reply): void {
    this.called.add(method);
    const schema = this.#schemas[method];
    if (schema === undefined) {
      this.problems.push(`${method}: not in the published schema`);
      return;
    }
    if (reply.error !== undefined) {
      this.problems.push(`${method}: ${reply.error.message} ${reply.error.data?.reason ?? ''}`);
      return;
    }
    const args = Object.fromEntries(params.map((param, index) => [schema.argNames[index] ?? `#${index}`, param]));
    if (!this.#ajv.validate(schema.args, args)) this.problems.push(`${method} request: ${this.#ajv.errorsText().slice(0, 400)}`);
    if (schema.result !== undefined && !this.#ajv.validate(schema.result, { result: reply.result })) {
      this.problems.push(`${method} answer: ${this.#ajv.errorsText().slice(0, 400)}`);
    }
  }
}

function idOf(entry: unknown): number {
  const id = (entry as { readonly id?: unknown } | undefined)?.id;
  return typeof id === 'number' ? id : -1;
}

async function driveAll(drive: Drive, simulator: Simulator, release: SimRelease): Promise<void> {
  const parent = simulator.dataset ?? '';
  const zvol = `${parent}/vm-100-disk-0`;
  const snapshots = release === '25.04' ? 'zfs.snapshot' : 'pool.snapshot';
  if (release !== '25.04') await drive.call('core.set_options', { legacy_jobs: false });
  for (const method of ['core.ping', 'auth.me', 'auth.mechanism_choices', 'auth.sessions', 'api_key.query', 'api_key.my_keys']) {
    await drive.call(method);
  }
  for (const method of ['privilege.query', 'privilege.roles', 'system.version', 'system.version_short', 'system.info'])
    await drive.call(method);
  for (const method of ['system.product_type', 'system.ready', 'system.state', 'system.boot_id', 'alert.list', 'core.get_jobs']) {
    await drive.call(method);
  }
  await drive.call('auth.generate_token', 60);
  const key = await drive.call('api_key.create', { name: 'second', username: simulator.username });
  await drive.call('api_key.update', idOf(key), { name: 'renamed' });
  await drive.call('api_key.delete', idOf(key));
  await driveAccounts(drive);
  await drive.call('pool.query');
  await drive.call('service.query', [['service', '=', 'iscsitarget']]);
  if (release === '25.04') await drive.call('service.reload', 'iscsitarget');
  else await drive.call('service.control', 'RELOAD', 'iscsitarget', {});

  await drive.call('pool.dataset.create', { name: zvol, type: 'VOLUME', volsize: GIB, sparse: true, comments: 'made by a test' });
  await drive.call('pool.dataset.create', { name: `${parent}/fs`, type: 'FILESYSTEM' });
  await drive.call('pool.dataset.query', [['id', '^', parent]], { extra: { retrieve_children: false } });
  await drive.call('pool.dataset.query', [['id', '=', zvol]], { get: true });
  await drive.call('pool.dataset.get_instance', zvol);
  await drive.call('pool.dataset.update', zvol, { volsize: 2 * GIB });
  await drive.call('pool.dataset.update', zvol, { user_properties_update: [{ key: 'test:mark', value: 'x' }] });

  await drive.call('iscsi.global.config');
  await drive.call('iscsi.global.sessions');
  const portals = (await drive.call('iscsi.portal.query')) as readonly unknown[];
  const targets = (await drive.call('iscsi.target.query')) as readonly unknown[];
  await drive.call('iscsi.portal.get_instance', idOf(portals[0]));
  await drive.call('iscsi.target.get_instance', idOf(targets[0]));
  const initiator = await drive.call('iscsi.initiator.create', { initiators: [], comment: 'all' });
  await drive.call('iscsi.initiator.query');
  const auth = await drive.call('iscsi.auth.create', { tag: 7, user: 'chap', secret: 'abcdefghijkl' });
  await drive.call('iscsi.auth.query');
  const target = await drive.call('iscsi.target.create', {
    name: 'second',
    groups: [{ portal: idOf(portals[0]), initiator: idOf(initiator), authmethod: 'NONE', auth: null }],
  });
  const extent = await drive.call('iscsi.extent.create', { name: 'vm-100-disk-0', type: 'DISK', disk: `zvol/${zvol}`, blocksize: 512 });
  await drive.call('iscsi.extent.query', [['name', '=', 'vm-100-disk-0']], { get: true });
  await drive.call('iscsi.extent.update', idOf(extent), { comment: 'changed' });
  const mapping = await drive.call('iscsi.targetextent.create', { target: idOf(target), extent: idOf(extent), lunid: null });
  await drive.call('iscsi.targetextent.query', [['target', '=', idOf(target)]]);
  await drive.call('iscsi.targetextent.delete', idOf(mapping), true);
  await drive.call('iscsi.extent.delete', idOf(extent), false, true);
  await drive.call('iscsi.target.delete', idOf(target), true);
  await drive.call('iscsi.auth.delete', idOf(auth));
  await drive.call('iscsi.initiator.delete', idOf(initiator));

  await drive.call(`${snapshots}.create`, { dataset: zvol, name: 'one' });
  await drive.call(`${snapshots}.query`, [['dataset', '=', zvol]]);
  await drive.call(`${snapshots}.get_instance`, `${zvol}@one`);
  await drive.call(`${snapshots}.rollback`, `${zvol}@one`, {});
  await drive.call(`${snapshots}.clone`, { snapshot: `${zvol}@one`, dataset_dst: `${parent}/vm-101-disk-0` });
  await drive.call('pool.dataset.promote', `${parent}/vm-101-disk-0`);
  await drive.call('pool.dataset.delete', zvol, {});
  await drive.call(`${snapshots}.delete`, `${parent}/vm-101-disk-0@one`, {});
  await drive.call('pool.dataset.delete', `${parent}/vm-101-disk-0`, {});
}

/** A user that owns a key, as setup makes it. user.* and group.* are not among the published schemas. */
async function driveAccounts(drive: Drive): Promise<void> {
  const account = { username: 'pve', full_name: 'x', group_create: true, password_disabled: true, smb: false, shell: '/usr/sbin/nologin' };
  const user = await drive.unpublished('user.create', account);
  const [group] = (await drive.unpublished('group.query', [['name', '=', 'pve']])) as readonly { readonly gid: number }[];
  const rights = { name: 'pve', local_groups: [group?.gid], ds_groups: [], roles: ['POOL_READ', 'DATASET_WRITE'], web_shell: false };
  const privilege = await drive.call('privilege.create', rights);
  await drive.call('privilege.update', idOf(privilege), { roles: ['POOL_READ'] });
  await drive.call('privilege.get_instance', idOf(privilege));
  await drive.call('privilege.query', [['name', '=', 'pve']]);
  const key = await drive.call('api_key.create', { name: 'of pve', username: 'pve' });
  await drive.call('api_key.update', idOf(key), { reset: true });
  await drive.call('api_key.get_instance', idOf(key));
  await drive.call('api_key.delete', idOf(key));
  await drive.call('privilege.delete', idOf(privilege));
  await drive.unpublished('user.delete', idOf(user), { delete_group: true });
}

/** A namespace's life, over the wire. */
async function driveNamespaces(drive: Drive, simulator: Simulator): Promise<void> {
  const zvol = `${simulator.dataset ?? ''}/vm-102-disk-0`;
  await drive.call('pool.dataset.create', { name: zvol, type: 'VOLUME', volsize: GIB, sparse: true });
  const subsystem = await drive.call('nvmet.subsys.create', { name: 'pve', allow_any_host: true });
  const path = { device_type: 'ZVOL', device_path: `zvol/${zvol}` };
  const namespace = await drive.call('nvmet.namespace.create', { ...path, subsys_id: idOf(subsystem) });
  await drive.call('nvmet.namespace.query', [['device_path', '=', path.device_path]], { select: ['id', 'nsid', 'device_uuid'] });
  await drive.call('nvmet.namespace.get_instance', idOf(namespace));
  await drive.call('nvmet.namespace.delete', idOf(namespace), {});
  await drive.call('nvmet.subsys.delete', idOf(subsystem));
  await drive.call('pool.dataset.delete', zvol, {});
}

describe.runIf(present).each(SIM_RELEASES)('requests and answers of %s fit the published schemas', (release) => {
  let simulator: Simulator;
  let drive: Drive;
  beforeAll(async () => {
    simulator = await launchSimulator({ release, delays: false });
    const client = await TestingClient.open(simulator);
    drive = new Drive(client, JSON.parse(readFileSync(join(folder, `${release}.json`), 'utf8')) as Schemas);
    const login = { mechanism: 'API_KEY_PLAIN', username: simulator.username, api_key: simulator.apiKey };
    drive.check('auth.login_ex', [login], await client.call('auth.login_ex', login));
  });
  afterAll(() => simulator.stop());

  it('through the life of a disk and the calls around it', async () => {
    await driveAll(drive, simulator, release);
    if (release !== '25.04') await driveNamespaces(drive, simulator);
    expect(drive.problems).toEqual([]);
    expect(drive.called.size).toBeGreaterThan(50);
  });
});
