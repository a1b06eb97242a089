import { describe, expect, it } from 'vitest';
import { CallError, PythonError, ValidationErrors } from '../../api/contract.ts';
import { ArrayDriver } from '../array-driver.ts';

const NODE = 'nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555';

/** What a refused call says: attribute and text of each fault, or the text alone. */
async function refusal(promise: Promise<unknown>): Promise<unknown> {
  try {
    return { done: await promise };
  } catch (error) {
    if (error instanceof ValidationErrors) return error.items.map(([attribute, text]) => `${attribute ?? ''}: ${text}`);
    if (error instanceof CallError) return error.message;
    if (error instanceof PythonError) return `${error.className} ${error.message}`;
    throw error;
  }
}

const path = (name: string) => ({ device_type: 'ZVOL', device_path: `zvol/tank/pve/${name}` });

async function withSubsystem(driver: ArrayDriver, running = true): Promise<void> {
  if (running) await driver.call('service.control', 'START', 'nvmet', {});
  await driver.call('nvmet.subsys.create', { name: 'pve' });
  await driver.call('nvmet.port.create', { addr_trtype: 'TCP', addr_traddr: '127.0.0.1' });
  await driver.call('nvmet.port_subsys.create', { port_id: 1, subsys_id: 1 });
  for (const name of ['a', 'b']) await driver.zvol(name);
}

describe('NVMe-oF is absent on 25.04 (truenas-api 12)', () => {
  const driver = new ArrayDriver({ release: '25.04' });
  it('as methods', () => expect(driver.array.methods.filter((one) => one.name.startsWith('nvmet.'))).toEqual([]));
  it('and as a service', async () =>
    expect(await driver.call('service.query', [['service', '=', 'nvmet']], {})).not.toContainEqual(
      expect.objectContaining({ service: 'nvmet' }),
    ));
});

describe.each(['25.10', '26.0'] as const)('NVMe-oF of %s (truenas-api 12)', (release) => {
  it('makes subsystems with serial and NQN, no name twice', async () => {
    const driver = new ArrayDriver({ release });
    await driver.call('nvmet.global.update', { basenqn: 'nqn.2011-06.com.example:base' });
    const made = (await driver.call('nvmet.subsys.create', { name: 'pve' })) as Record<string, unknown>;
    expect(made).toMatchObject({ id: 1, subnqn: 'nqn.2011-06.com.example:base:pve' });
    expect(made['serial']).toMatch(/^[0-9a-f]{20}$/);
    expect(await refusal(driver.call('nvmet.subsys.create', { name: 'pve' }))).toEqual([
      'nvmet_subsys_create.name: Object with this name already exists',
    ]);
    expect(await refusal(driver.call('nvmet.subsys.create', { name: 'x', subnqn: 'nqn.2011-06.com.example:base:pve' }))).toBe(
      'IntegrityError (sqlite3.IntegrityError) UNIQUE constraint failed: services_nvmet_subsys.nvmet_subsys_subnqn',
    );
    expect(await refusal(driver.call('nvmet.subsys.get_instance', 9))).toEqual([': NVMetSubsys 9 does not exist']);
  });

  it('numbers namespaces from 1 in the gaps, and gives each its own identity', async () => {
    const driver = new ArrayDriver({ release });
    await withSubsystem(driver);
    const a = (await driver.call('nvmet.namespace.create', { subsys_id: 1, nsid: 2, ...path('a') })) as Record<string, unknown>;
    const b = (await driver.call('nvmet.namespace.create', { subsys_id: 1, ...path('b') })) as Record<string, unknown>;
    expect([a['nsid'], b['nsid']]).toEqual([2, 1]);
    expect(a['device_uuid']).not.toBe(b['device_uuid']);
    expect(a['subsys']).toMatchObject({ id: 1, name: 'pve' });
    expect(a['locked']).toBe(false);
    expect('dataset' in a).toBe(release === '26.0');
  });

  it('words what a namespace cannot be as TrueNAS does', async () => {
    const driver = new ArrayDriver({ release });
    await withSubsystem(driver);
    await driver.call('nvmet.namespace.create', { subsys_id: 1, ...path('a') });
    const create = (data: object) => refusal(driver.call('nvmet.namespace.create', data));
    expect(await create({ subsys_id: 9, nsid: 1, ...path('b') })).toEqual(['nvmet_namespace_create.subsys_id: No subsystem with ID 9']);
    expect(await create({ subsys_id: 1, nsid: 1, ...path('b') })).toEqual([
      'nvmet_namespace_create.nsid: This record already exists (Subsystem ID: 1/NSID: 1)',
    ]);
    expect(await create({ subsys_id: 1, device_type: 'ZVOL', device_path: '/mnt/x' })).toEqual([
      'nvmet_namespace_create.device_path: ZVOL device_path must start with "zvol/": /mnt/x',
    ]);
    expect(await create({ subsys_id: 1, ...path('none') })).toEqual([
      'nvmet_namespace_create.device_path: ZVOL device_path must be a block device: zvol/tank/pve/none',
    ]);
    expect(await create({ subsys_id: 1, ...path('a') })).toEqual([
      'nvmet_namespace_create.device_path: This device_path already used by subsystem: pve',
    ]);
    expect(await create({ subsys_id: 1, device_type: 'FILE', device_path: '/mnt/tank/f' })).toContain('not modelled');
  });

  it('lets a zvol be an extent or a namespace, never both', async () => {
    const driver = new ArrayDriver({ release });
    await withSubsystem(driver);
    await driver.call('iscsi.extent.create', { name: 'a', disk: 'zvol/tank/pve/a' });
    expect(await refusal(driver.call('nvmet.namespace.create', { subsys_id: 1, ...path('a') }))).toEqual([
      'nvmet_namespace_create.device_path: This device_path already used by iSCSI extent: a',
    ]);
    await driver.call('nvmet.namespace.create', { subsys_id: 1, ...path('b') });
    expect(await refusal(driver.call('iscsi.extent.create', { name: 'b', disk: 'zvol/tank/pve/b' }))).toEqual([
      'iscsi_extent_create.disk: Disk currently in use by NVMe-oF subsystem pve NSID 1',
    ]);
  });

  it('keeps an active namespace and an active port as they are', async () => {
    const driver = new ArrayDriver({ release });
    await withSubsystem(driver);
    await driver.call('nvmet.namespace.create', { subsys_id: 1, ...path('a') });
    const active = 'nvmet_namespace_update: Cannot change nsid on an active namespace.  Disable first to allow change.';
    expect(await refusal(driver.call('nvmet.namespace.update', 1, { nsid: 5 }))).toEqual([active]);
    expect(await driver.call('nvmet.namespace.update', 1, { enabled: false })).toMatchObject({ enabled: false });
    expect(await driver.call('nvmet.namespace.update', 1, { nsid: 5, enabled: true })).toMatchObject({ nsid: 5, enabled: true });
    expect(await refusal(driver.call('nvmet.port.update', 1, { addr_trsvcid: 4421 }))).toEqual([
      'nvmet_port_update.addr_trsvcid: Cannot change addr_trsvcid on an active port.  Disable first to allow change.',
    ]);
    await driver.call('service.control', 'STOP', 'nvmet', {});
    expect(await driver.call('nvmet.port.update', 1, { addr_trsvcid: 4421 })).toMatchObject({ addr_trsvcid: 4421 });
    // the old subsystem is written back
    await driver.call('nvmet.subsys.create', { name: 'other' });
    expect(await driver.call('nvmet.namespace.update', 1, { subsys_id: 2 })).toMatchObject({ subsys: { name: 'pve' } });
  });

  it('refuses to delete what is used, unless forced', async () => {
    const driver = new ArrayDriver({ release });
    await withSubsystem(driver);
    await driver.call('nvmet.host.create', { hostnqn: NODE });
    await driver.call('nvmet.host_subsys.create', { host_id: 1, subsys_id: 1 });
    for (const name of ['a', 'b']) await driver.call('nvmet.namespace.create', { subsys_id: 1, ...path(name) });
    expect(await refusal(driver.call('nvmet.subsys.delete', 1, {}))).toEqual([
      'nvmet_subsys_delete.id: Subsystem pve contains 2 namespaces: 1,2',
      'nvmet_subsys_delete.id: Subsystem pve visible on 1 port',
    ]);
    expect(await refusal(driver.call('nvmet.port.delete', 1, {}))).toEqual(['nvmet_port_delete.id: Port #1 used by 1 subsystem: pve']);
    expect(await refusal(driver.call('nvmet.host.delete', 1, {}))).toEqual([`nvmet_host_delete.id: Host ${NODE} used by 1 subsystem: pve`]);
    expect(await driver.call('nvmet.subsys.delete', 1, { force: true })).toBe(true);
    for (const name of ['namespace', 'host_subsys', 'port_subsys']) expect(await driver.call(`nvmet.${name}.query`, [], {})).toEqual([]);
    expect(await driver.call('nvmet.port.delete', 1, {})).toBe(true);
    expect(await driver.call('nvmet.host.delete', 1, {})).toBe(true);
  });

  it('links what is there, once', async () => {
    const driver = new ArrayDriver({ release });
    await withSubsystem(driver);
    expect(await refusal(driver.call('nvmet.port_subsys.create', { port_id: 9, subsys_id: 8 }))).toEqual([
      'nvmet_port_subsys_create.port_id: No port with ID 9',
      'nvmet_port_subsys_create.subsys_id: No subsystem with ID 8',
    ]);
    expect(await refusal(driver.call('nvmet.port_subsys.create', { port_id: 1, subsys_id: 1 }))).toEqual([
      'nvmet_port_subsys_create.port_id: This record already exists (Host ID: 1/Subsystem ID: 1)',
    ]);
    expect(await refusal(driver.call('nvmet.port.create', { addr_trtype: 'TCP', addr_traddr: '127.0.0.1' }))).toEqual([
      'nvmet_port_create.addr_traddr: There already is a port using the same transport and address',
    ]);
  });

  it('checks keys and hides them from who may only read', async () => {
    const driver = new ArrayDriver({ release });
    const key = String(await driver.call('nvmet.host.generate_key', 'SHA-512', null));
    expect(key).toMatch(/^DHHC-1:03:[A-Za-z0-9+/]{91}=:$/);
    expect(await refusal(driver.call('nvmet.host.create', { hostnqn: NODE, dhchap_key: 'secret' }))).toEqual([
      'nvmet_host_create.dhchap_key: Unexpected key format. Use "nvme gen-dhchap-key" to generate.',
    ]);
    expect(await refusal(driver.call('nvmet.host.create', { hostnqn: NODE, dhchap_key: key.replace(':03:', ':01:') }))).toEqual([
      'nvmet_host_create.dhchap_key: Expected key length of 32',
    ]);
    expect(await refusal(driver.call('nvmet.host.create', { hostnqn: NODE, dhchap_ctrl_key: key }))).toEqual([
      'nvmet_host_create: Value error, Cannot configure bi-directional authentication without setting dhchap_key',
    ]);
    expect(await driver.call('nvmet.host.create', { hostnqn: NODE, dhchap_key: key })).toMatchObject({ dhchap_key: key });
    const event = driver.events.find((one) => one.collection === 'nvmet.host.query');
    expect(event?.fields).toMatchObject({ dhchap_key: '********' });
  });

  it('takes namespaces away with their zvol, before it is destroyed', async () => {
    const driver = new ArrayDriver({ release });
    await withSubsystem(driver);
    await driver.call('nvmet.namespace.create', { subsys_id: 1, ...path('a') });
    expect(await driver.call('pool.dataset.attachments', 'tank/pve/a')).toEqual([
      { type: 'NVMe-oF Namespace', service: 'nvmet', attachments: ['zvol/tank/pve/a'] },
    ]);
    await driver.call(driver.snapshots('create'), { dataset: 'tank/pve/a', name: 's' });
    expect(await refusal(driver.call('pool.dataset.delete', 'tank/pve/a', {}))).not.toHaveProperty('done');
    expect(await driver.call('nvmet.namespace.query', [], {})).toEqual([]);
    await driver.call(driver.snapshots('delete'), 'tank/pve/a@s', {});
    await driver.call('nvmet.namespace.create', { subsys_id: 1, ...path('a') });
    expect(await driver.call('pool.dataset.delete', 'tank/pve/a', {})).toBe(true);
    expect(await driver.call('nvmet.namespace.query', [], {})).toEqual([]);
    expect(await refusal(driver.call('pool.dataset.get_instance', 'tank/pve/a'))).not.toHaveProperty('done');
  });

  it('shows sessions of admitted hosts; 25.10 none of subsystems with their own NQN', async () => {
    const driver = new ArrayDriver({ release });
    await withSubsystem(driver);
    const { controls } = driver.array;
    expect(controls.connectHost('pve', NODE, '10.0.0.1')).toBe(false);
    await driver.call('nvmet.host.create', { hostnqn: NODE });
    await driver.call('nvmet.host_subsys.create', { host_id: 1, subsys_id: 1 });
    expect(controls.connectHost('pve', NODE, '10.0.0.1')).toBe(true);
    const session = { host_traddr: '10.0.0.1', hostnqn: NODE, subsys_id: 1, port_id: 1, ctrl: 1 };
    expect(await driver.call('nvmet.global.sessions', [], {})).toEqual([session]);
    await driver.call('nvmet.subsys.update', 1, { subnqn: 'nqn.2011-06.com.example:own' });
    expect(await driver.call('nvmet.global.sessions', [], {})).toEqual(release === '26.0' ? [session] : []);
    expect(controls.disconnectHost('pve', NODE)).toBe(1);
    expect(await driver.call('nvmet.global.sessions', [], {})).toEqual([]);
  });

  it('reloads a running service only, and says when it fails', async () => {
    const driver = new ArrayDriver({ release });
    driver.array.controls.setReloadFails(true);
    await driver.call('nvmet.subsys.create', { name: 'quiet' });
    driver.array.controls.setReloadFails(false);
    await driver.call('service.control', 'START', 'nvmet', {});
    driver.array.controls.setReloadFails(true);
    expect(await refusal(driver.call('nvmet.subsys.create', { name: 'loud' }))).toBe(
      '[ESERVICESTARTFAILURE] The nvmet service failed to start',
    );
  });

  it('keeps everything over a restart, and no state that leads nowhere', async () => {
    const driver = new ArrayDriver({ release });
    await withSubsystem(driver);
    await driver.call('nvmet.namespace.create', { subsys_id: 1, ...path('a') });
    const dumps = new Map(driver.array.persistent.map((part) => [part.name, part.dump()]));
    const again = new ArrayDriver({ release });
    for (const part of again.array.persistent) part.load(dumps.get(part.name));
    expect(await again.call('nvmet.namespace.query', [], {})).toEqual(await driver.call('nvmet.namespace.query', [], {}));
    expect(await again.call('nvmet.global.config')).toEqual(await driver.call('nvmet.global.config'));
    const nvmet = again.array.persistent.find((part) => part.name === 'nvmet');
    const broken = structuredClone(dumps.get('nvmet')) as { subsystems: unknown[] };
    broken.subsystems = [];
    expect(() => nvmet?.load(broken)).toThrow('leads nowhere');
  });
});
