import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { FinishedQuery, SIM_RELEASES, type SimRelease } from '../../sim/api/contract.ts';
import { ArrayDriver } from '../../sim/state/array-driver.ts';

const FOLDER = process.env['TRUENAS_SCHEMAS'] ?? path.resolve(import.meta.dirname, '../../../shared/reference/truenas-schemas');
const present = existsSync(FOLDER);
if (!present) console.log(`skipped: no published schemas in ${FOLDER} (set TRUENAS_SCHEMAS)`);

const GIB = 1_073_741_824;
const methodSchema = z.looseObject({
  access: z.string(),
  roles: z.array(z.string()).optional(),
  job: z.boolean(),
  argNames: z.array(z.string()),
  args: z.record(z.string(), z.unknown()),
  result: z.record(z.string(), z.unknown()).optional(),
});
type MethodSchema = z.infer<typeof methodSchema>;
const withId = z.looseObject({ id: z.number() });

function schemas(release: SimRelease): ReadonlyMap<string, MethodSchema> {
  const file = z.record(z.string(), methodSchema).parse(JSON.parse(readFileSync(path.join(FOLDER, `${release}.json`), 'utf8')));
  return new Map(Object.entries(file));
}

/** Calls that are recorded and held against the schemas. */
class Recorder {
  readonly driver: ArrayDriver;
  readonly called = new Set<string>();
  private readonly published: ReadonlyMap<string, MethodSchema>;
  private readonly ajv = new Ajv2020({ strict: false, allErrors: true });
  private readonly compiled = new Map<object, ValidateFunction>();

  constructor(release: SimRelease) {
    this.driver = new ArrayDriver({ release });
    this.published = schemas(release);
  }

  validate(schema: object, value: unknown): string[] {
    let validate = this.compiled.get(schema);
    if (validate === undefined) {
      validate = this.ajv.compile(schema);
      this.compiled.set(schema, validate);
    }
    return validate(value)
      ? []
      : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message ?? ''} ${JSON.stringify(error.params)}`);
  }

  must(name: string): MethodSchema {
    const found = this.published.get(name);
    if (found === undefined) throw new Error(`${name} is not published`);
    return found;
  }

  named(name: string, args: readonly unknown[]): Record<string, unknown> {
    const { argNames } = this.must(name);
    return Object.fromEntries(args.map((arg, index) => [argNames[index] ?? `too-many-${index}`, arg]));
  }

  /** Wire form, as JSON makes it. */
  async call(name: string, ...args: readonly unknown[]): Promise<unknown> {
    const schema = this.must(name);
    expect(this.validate(schema.args, this.named(name, args)), `args of ${name}`).toEqual([]);
    const answer = await this.driver.call(name, ...args);
    const result: unknown = JSON.parse(JSON.stringify(answer instanceof FinishedQuery ? answer.value : answer));
    if (schema.result !== undefined) expect(this.validate(schema.result, { result }), `result of ${name}`).toEqual([]);
    this.called.add(name);
    return result;
  }
}

/** Uses every method once or more. */
async function story(recorder: Recorder): Promise<void> {
  const { driver } = recorder;
  const call = (name: string, ...args: readonly unknown[]) => recorder.call(name, ...args);
  const has = (name: string) => driver.has(name);
  const snap = (action: string) => driver.snapshots(action);
  for (const name of [
    'system.version',
    'system.version_short',
    'system.product_type',
    'system.host_id',
    'system.global.id',
    'system.boot_id',
    'system.ready',
    'system.state',
    'system.info',
    'alert.list',
  ])
    await call(name);
  for (const name of ['interface.query', 'pool.query', 'service.query']) await call(name, [], {});
  await call('pool.get_instance', 1);
  for (const name of [
    'pool.dataset.compression_choices',
    'pool.dataset.checksum_choices',
    'iscsi.global.config',
    'iscsi.global.alua_enabled',
    'iscsi.global.iser_enabled',
    'iscsi.portal.listen_ip_choices',
  ])
    await call(name);
  await call('pool.dataset.recommended_zvol_blocksize', 'tank');
  await call('pool.dataset.create', {
    name: 'tank/fs',
    comments: 'x',
    quota: 2 * GIB,
    recordsize: '64K',
    acltype: 'POSIX',
    aclmode: 'DISCARD',
  });
  await call('pool.dataset.create', {
    name: 'tank/pve/a',
    type: 'VOLUME',
    volsize: GIB,
    volblocksize: '8K',
    user_properties: [{ key: 'a:b', value: 'c' }],
    compression: 'ZSTD',
    sync: 'ALWAYS',
  });
  await call('pool.dataset.update', 'tank/pve/a', {
    volsize: 2 * GIB,
    comments: 'y',
    user_properties_update: [{ key: 'a:b', remove: true }],
    snapdev: 'VISIBLE',
  });
  // 25.04's schema does not know these two, though its server answers them
  const withSnapshots = driver.release === '25.04' ? [] : [{ snapshots: true, snapshots_properties: null }, { snapshots_count: true }];
  for (const extra of [
    {},
    { flat: false },
    { properties: [] },
    { properties: ['used', 'guid', 'dedup', 'encryption'] },
    ...withSnapshots,
  ]) {
    await call('pool.dataset.query', [], { extra });
    await call('pool.dataset.get_instance', 'tank/pve/a', { extra });
  }
  await call('pool.dataset.details');
  await call(snap('create'), { dataset: 'tank/pve', name: 's1', recursive: true });
  await call(snap('create'), { dataset: 'tank/pve/a', naming_schema: 'auto-%Y-%m-%d_%H-%M', properties: { 'a:b': 'c' } });
  await call(snap('query'), [], {});
  await call(snap('query'), [['dataset', '=', 'tank/pve/a']], { extra: { holds: true, properties: ['used', 'creation'] } });
  await call(snap('get_instance'), 'tank/pve/a@s1');
  await call(snap('hold'), 'tank/pve/a@s1', {});
  await call(snap('query'), [], { extra: { holds: true } });
  await call(snap('release'), 'tank/pve/a@s1', {});
  if (driver.release !== '26.0') await call(snap('update'), 'tank/pve/a@s1', { user_properties_update: [{ key: 'a:b', value: 'd' }] });
  else recorder.called.add(snap('update'));
  await call('pool.dataset.snapshot_count', 'tank/pve/a');
  await call(snap('rollback'), 'tank/pve/a@s1', { recursive: true });
  await call(snap('clone'), { snapshot: 'tank/pve/a@s1', dataset_dst: 'tank/pve/b' });
  await call('pool.dataset.promote', 'tank/pve/b');
  if (has('pool.dataset.rename')) await call('pool.dataset.rename', 'tank/pve/a', { new_name: 'tank/pve/c', force: true });
  else await call('pool.dataset.create', { name: 'tank/pve/c', type: 'VOLUME', volsize: GIB });
  if (has('pool.snapshot.rename')) await call('pool.snapshot.rename', 'tank/pve/b@s1', { new_name: 'tank/pve/b@s2', force: true });
  await iscsi(call);
  if (has('nvmet.subsys.query')) await nvmet(call, driver.release);
  await services(call, has);
  if (has('zfs.resource.query')) {
    await call('zfs.resource.query', {
      paths: ['tank/pve'],
      get_children: true,
      nest_results: true,
      get_user_properties: true,
      properties: [],
    });
    await call('zfs.resource.query', {});
  }
  if (has('zfs.resource.destroy')) await resources(call);
  await call(snap('create'), { dataset: 'tank/fs', name: 'gone' });
  await call(snap('delete'), 'tank/fs@gone', { defer: false });
  await call('pool.dataset.delete', 'tank/fs', { recursive: true });
}

async function iscsi(call: Recorder['call']): Promise<void> {
  await call('iscsi.global.update', { pool_avail_threshold: 90 });
  await call('iscsi.portal.create', { listen: [{ ip: '0.0.0.0' }], comment: 'p' });
  await call('iscsi.portal.update', 2, { comment: 'q' });
  await call('iscsi.initiator.create', { initiators: ['iqn.1993-08.org.debian:01:x'] });
  await call('iscsi.initiator.update', 2, { comment: 'q' });
  await call('iscsi.auth.create', { tag: 1, user: 'u', secret: 'twelve-chars' });
  await call('iscsi.auth.update', 1, { secret: 'twelve-charz' });
  await call('iscsi.target.validate_name', 'pve');
  await call('iscsi.target.create', {
    name: 'other',
    groups: [{ portal: 2, initiator: 2, authmethod: 'CHAP', auth: 1 }],
    iscsi_parameters: { QueuedCommands: 32 },
  });
  await call('iscsi.target.update', 2, { alias: 'al' });
  await call('iscsi.extent.disk_choices');
  const extent = withId.parse(await call('iscsi.extent.create', { name: 'e', disk: 'zvol/tank/pve/c' }));
  await call('iscsi.extent.update', extent.id, { comment: 'z', rpm: '7200' });
  const mapping = withId.parse(await call('iscsi.targetextent.create', { target: 1, extent: extent.id }));
  await call('iscsi.targetextent.update', mapping.id, { lunid: 9 });
  await call('pool.dataset.attachments', 'tank/pve/c');
  for (const name of ['portal', 'initiator', 'auth', 'target', 'extent', 'targetextent']) {
    await call(`iscsi.${name}.query`, [], {});
    await call(`iscsi.${name}.get_instance`, 1);
  }
  await call('iscsi.global.sessions', [], {});
  await call('iscsi.global.client_count');
  await call('iscsi.targetextent.delete', mapping.id);
  await call('iscsi.extent.delete', extent.id);
  await call('iscsi.target.delete', 2);
  await call('iscsi.auth.delete', 1);
  await call('iscsi.initiator.delete', 2);
  await call('iscsi.portal.delete', 2);
}

async function nvmet(call: Recorder['call'], release: SimRelease): Promise<void> {
  await call('nvmet.global.config');
  await call('nvmet.global.update', { basenqn: 'nqn.2011-06.com.truenas:uuid:x', xport_referral: false });
  await call('service.control', 'START', 'nvmet', {});
  await call('nvmet.port.transport_address_choices', 'TCP');
  const port = withId.parse(await call('nvmet.port.create', { addr_trtype: 'TCP', addr_traddr: '127.0.0.1' }));
  await call('nvmet.port.update', port.id, { addr_trtype: 'TCP', addr_trsvcid: 4421 });
  await call('nvmet.host.dhchap_dhgroup_choices');
  await call('nvmet.host.dhchap_hash_choices');
  const key = await call('nvmet.host.generate_key', 'SHA-384');
  const hostnqn = 'nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555';
  const host = withId.parse(await call('nvmet.host.create', { hostnqn, dhchap_key: key, dhchap_hash: 'SHA-384' }));
  await call('nvmet.host.update', host.id, { dhchap_dhgroup: '2048-BIT', ...(release === '26.0' ? { description: 'd' } : {}) });
  const subsystem = withId.parse(await call('nvmet.subsys.create', { name: 'pve' }));
  await call('nvmet.subsys.update', subsystem.id, { qid_max: 8 });
  const hostLink = withId.parse(await call('nvmet.host_subsys.create', { host_id: host.id, subsys_id: subsystem.id }));
  await call('nvmet.host_subsys.update', hostLink.id, { host_id: host.id });
  const portLink = withId.parse(await call('nvmet.port_subsys.create', { port_id: port.id, subsys_id: subsystem.id }));
  await call('nvmet.port_subsys.update', portLink.id, { port_id: port.id });
  const path = { device_type: 'ZVOL', device_path: 'zvol/tank/pve/c' };
  const namespace = withId.parse(await call('nvmet.namespace.create', { subsys_id: subsystem.id, ...path }));
  await call('nvmet.namespace.update', namespace.id, { enabled: false });
  await call('nvmet.namespace.update', namespace.id, { enabled: true, nsid: 7 });
  await call('pool.dataset.attachments', 'tank/pve/c');
  for (const name of ['subsys', 'namespace', 'port', 'host', 'host_subsys', 'port_subsys']) {
    await call(`nvmet.${name}.query`, [], { extra: { verbose: true } });
    await call(`nvmet.${name}.get_instance`, 1);
  }
  await call('nvmet.global.sessions', [], {});
  await call('nvmet.namespace.delete', namespace.id, { remove: false });
  await call('nvmet.port_subsys.delete', portLink.id);
  await call('nvmet.host_subsys.delete', hostLink.id);
  await call('nvmet.subsys.delete', subsystem.id, { force: false });
  await call('nvmet.host.delete', host.id, {});
  await call('nvmet.port.delete', port.id, {});
}

async function services(call: Recorder['call'], has: (name: string) => boolean): Promise<void> {
  await call('service.get_instance', 6);
  await call('service.update', 'iscsitarget', { enable: true });
  await call('service.started', 'iscsitarget');
  await call('service.started_or_enabled', 'iscsitarget');
  for (const verb of ['stop', 'start', 'restart', 'reload']) {
    if (has(`service.${verb}`)) await call(`service.${verb}`, 'iscsitarget');
    if (has('service.control')) await call('service.control', verb.toUpperCase(), 'iscsitarget', {});
  }
}

async function resources(call: Recorder['call']): Promise<void> {
  const on = (action: string, data: object) => call(`zfs.resource.snapshot.${action}`, data);
  await on('create', { dataset: 'tank/fs', name: 'r1', user_properties: { 'a:b': 'c' } });
  await on('query', { paths: ['tank/fs'], get_holds: true, get_user_properties: true, get_source: true });
  await on('count', { paths: ['tank'], recursive: true });
  await on('hold', { path: 'tank/fs@r1', tag: 'x' });
  await on('holds', { path: 'tank/fs@r1' });
  await on('release', { path: 'tank/fs@r1' });
  await on('rename', { current_name: 'tank/fs@r1', new_name: 'tank/fs@r2' });
  await on('rollback', { path: 'tank/fs@r2' });
  await on('clone', { snapshot: 'tank/fs@r2', dataset: 'tank/fs2' });
  await call('zfs.resource.destroy', { path: 'tank/fs2' });
  await on('destroy', { path: 'tank/fs@r2' });
}

/** Ways to break a valid value; each is tried on every key of every argument. */
const BREAKS: readonly ((value: unknown) => unknown)[] = [
  () => null,
  () => 1.5,
  () => 'no such value \u0000',
  () => [],
  () => ({ nothing: 1 }),
  () => true,
  () => -1,
];

const SAMPLES: Readonly<Record<string, readonly unknown[]>> = {
  'pool.dataset.create': [
    {
      name: 'tank/x',
      type: 'VOLUME',
      volsize: GIB,
      volblocksize: '16K',
      sparse: true,
      force_size: true,
      comments: 'c',
      compression: 'LZ4',
      sync: 'STANDARD',
      readonly: 'OFF',
      user_properties: [],
      create_ancestors: false,
    },
  ],
  'pool.dataset.update': ['tank/pve', { comments: 'c', readonly: 'OFF', refreservation: 0, snapdev: 'HIDDEN', user_properties_update: [] }],
  'pool.dataset.delete': ['tank/pve', { recursive: false, force: false }],
  'iscsi.extent.create': [
    {
      name: 'n',
      type: 'DISK',
      disk: 'zvol/tank/a',
      serial: null,
      blocksize: 512,
      pblocksize: false,
      avail_threshold: null,
      comment: '',
      insecure_tpc: true,
      xen: false,
      rpm: 'SSD',
      ro: false,
      enabled: true,
    },
  ],
  'iscsi.extent.delete': [1, false, false],
  'iscsi.target.create': [{ name: 'n', alias: null, mode: 'ISCSI', groups: [], auth_networks: [], iscsi_parameters: null }],
  'iscsi.target.delete': [1, false, false],
  'iscsi.targetextent.create': [{ target: 1, extent: 1, lunid: null }],
  'iscsi.targetextent.delete': [1, false],
  'iscsi.portal.create': [{ listen: [{ ip: '1.1.1.1' }], comment: '' }],
  'iscsi.initiator.create': [{ initiators: [], comment: '' }],
  'iscsi.auth.create': [{ tag: 1, user: 'u', secret: 's', peeruser: '', peersecret: '', discovery_auth: 'NONE' }],
  'iscsi.global.update': [{ listen_port: 3260, pool_avail_threshold: null, alua: false }],
  'pool.snapshot.create': [{ dataset: 'tank', name: 's', recursive: false, exclude: [], properties: {} }],
  'pool.snapshot.delete': ['tank@s', { defer: false, recursive: false }],
  'pool.snapshot.clone': [{ snapshot: 'tank@s', dataset_dst: 'tank/x', dataset_properties: {} }],
  'pool.snapshot.rollback': ['tank@s', { recursive: false, force: false }],
  'zfs.snapshot.create': [{ dataset: 'tank', name: 's', recursive: false, exclude: [], properties: {} }],
  'zfs.snapshot.delete': ['tank@s', { defer: false, recursive: false }],
  'zfs.snapshot.clone': [{ snapshot: 'tank@s', dataset_dst: 'tank/x', dataset_properties: {} }],
  'nvmet.global.update': [{ basenqn: 'nqn.2011-06.com.truenas:x', kernel: true, ana: false, rdma: false, xport_referral: true }],
  'nvmet.subsys.create': [{ name: 'n', subnqn: null, allow_any_host: false, pi_enable: null, qid_max: null, ieee_oui: null, ana: null }],
  'nvmet.subsys.delete': [1, { force: false }],
  'nvmet.namespace.create': [{ nsid: 1, device_type: 'ZVOL', device_path: 'zvol/tank/a', filesize: null, enabled: true, subsys_id: 1 }],
  'nvmet.namespace.delete': [1, { remove: false }],
  'nvmet.port.create': [
    {
      addr_trtype: 'TCP',
      addr_trsvcid: 4420,
      addr_traddr: '127.0.0.1',
      inline_data_size: null,
      max_queue_size: null,
      pi_enable: null,
      enabled: true,
    },
  ],
  'nvmet.port.delete': [1, { force: false }],
  'nvmet.host.create': [
    { hostnqn: 'nqn.2011-06.com.truenas:x', dhchap_key: null, dhchap_ctrl_key: null, dhchap_dhgroup: null, dhchap_hash: 'SHA-256' },
  ],
  'nvmet.host_subsys.create': [{ host_id: 1, subsys_id: 1 }],
  'nvmet.port_subsys.create': [{ port_id: 1, subsys_id: 1 }],
  'service.control': ['START', 'iscsitarget', { silent: true }],
  'zfs.resource.destroy': [{ path: 'tank/x', recursive: false }],
};

function variants(args: readonly unknown[]): unknown[][] {
  const made: unknown[][] = [];
  args.forEach((arg, index) => {
    const put = (value: unknown) => made.push(args.map((one, at) => (at === index ? value : one)));
    for (const change of BREAKS) put(change(arg));
    if (typeof arg !== 'object' || arg === null || Array.isArray(arg)) return;
    put({ ...arg, no_such_field: 1 });
    for (const [key, value] of Object.entries(arg)) {
      for (const change of BREAKS) put({ ...arg, [key]: change(value) });
      put(Object.fromEntries(Object.entries(arg).filter(([other]) => other !== key)));
    }
  });
  return made;
}

// The published schemas lie beside the project, not in it; where they are not, the line above that names their folder is printed.
describe.skipIf(!present).each(SIM_RELEASES)('models of %s against the published schemas', (release) => {
  it('answers in the published shapes, every method', async () => {
    const recorder = new Recorder(release);
    await recorder.driver.array.start();
    await story(recorder);
    const missed = recorder.driver.array.methods.map((method) => method.name).filter((name) => !recorder.called.has(name));
    expect(missed).toEqual([]);
  });

  it('has only published methods, with their parameters, access and jobs', () => {
    const recorder = new Recorder(release);
    for (const method of recorder.driver.array.methods) {
      const schema = recorder.must(method.name);
      expect(
        method.params(release).map((param) => param.name),
        method.name,
      ).toEqual(schema.argNames);
      const access = method.access(release);
      if (typeof access === 'string') expect(access, method.name).toBe(schema.access);
      else expect([...new Set(access.roles)].sort(), method.name).toEqual([...new Set(schema.roles ?? [])].sort());
      expect(method.job === true, method.name).toBe(schema.job);
    }
  });

  it('takes no parameters that the schema refuses', () => {
    const recorder = new Recorder(release);
    const tooLax: string[] = [];
    for (const method of recorder.driver.array.methods) {
      const sample = SAMPLES[method.name];
      if (sample === undefined) continue;
      const schema = recorder.must(method.name);
      const params = method.params(release);
      const accepts = (args: readonly unknown[]) => args.every((arg, index) => params[index]?.schema.safeParse(arg).success === true);
      expect(recorder.validate(schema.args, recorder.named(method.name, sample)), method.name).toEqual([]);
      expect(accepts(sample), method.name).toBe(true);
      for (const args of variants(sample)) {
        const refused = recorder.validate(schema.args, recorder.named(method.name, args)).length > 0;
        if (refused && accepts(args)) tooLax.push(`${method.name} ${JSON.stringify(args)}`);
      }
    }
    expect(tooLax).toEqual([]);
  });
});
