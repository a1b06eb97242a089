import { randomUUID } from 'node:crypto';
import path from 'node:path';
import type { ArrayOptions, SimArray, SimMethod, SimServices } from '../api/contract.ts';
import { authMethods } from '../api/iscsi-auth.ts';
import { extentMethods } from '../api/iscsi-extent.ts';
import { globalMethods } from '../api/iscsi-global.ts';
import { initiatorMethods } from '../api/iscsi-initiator.ts';
import { portalMethods } from '../api/iscsi-portal.ts';
import { targetMethods } from '../api/iscsi-target.ts';
import { mappingMethods } from '../api/iscsi-targetextent.ts';
import { nvmetGlobalMethods } from '../api/nvmet-global.ts';
import { nvmetHostMethods } from '../api/nvmet-host.ts';
import { nvmetHostLinkMethods, nvmetPortLinkMethods } from '../api/nvmet-links.ts';
import { nvmetNamespaceMethods } from '../api/nvmet-namespace.ts';
import { nvmetPortMethods } from '../api/nvmet-port.ts';
import { nvmetSubsystemMethods } from '../api/nvmet-subsys.ts';
import { datasetDeleteMethods } from '../api/pool-dataset-delete.ts';
import { datasetQueryMethods } from '../api/pool-dataset-query.ts';
import { datasetWriteMethods } from '../api/pool-dataset-write.ts';
import { poolMethods } from '../api/pool.ts';
import { serviceMethods } from '../api/service.ts';
import { snapshotMethods } from '../api/snapshot.ts';
import { resourceSnapshotMethods } from '../api/zfs-resource-snapshot-methods.ts';
import { resourceMethods } from '../api/zfs-resource.ts';
import { type Identity, identitySchema, newIdentity, systemMethods } from '../api/system.ts';
import type { BlockStore } from '../blocks/block-store.ts';
import { FileBlocks } from '../blocks/file-blocks.ts';
import { LabAgent } from '../blocks/lab/lab-agent.ts';
import { LioLunServer } from '../blocks/lab/lio-lun-server.ts';
import { LabEngine } from '../blocks/lab/zfs/lab-engine.ts';
import { NvmetServer } from '../blocks/lab/nvmet-server.ts';
import { PoolConnection } from '../blocks/lab/zfs/pool-connection.ts';
import { PoolShell } from '../blocks/lab/zfs/pool-shell.ts';
import type { LunServer } from '../blocks/lun-server.ts';
import { MemoryBlocks } from '../blocks/memory-blocks.ts';
import { MemoryLunServer } from '../blocks/memory-lun-server.ts';
import { TgtDaemon } from '../blocks/tgt-daemon.ts';
import { TgtLunServer } from '../blocks/tgt-lun-server.ts';
import { ArrayCore } from './array-core.ts';
import { IscsiState } from './iscsi/iscsi-state.ts';
import { NvmetState } from './nvmet/nvmet-state.ts';
import type { SubsystemRecord } from './nvmet/records.ts';
import { PoolState } from './pool-state.ts';
import { ServicesState } from './services-state.ts';
import { bytesOf } from './zfs/space.ts';
import { MemoryEngine } from './zfs/memory-engine.ts';
import { ZfsState } from './zfs/zfs-state.ts';
import { seed } from './seed.ts';

/**
 * Ports of the VM's agent that the simulator takes for targets; the next one is its pool's (pool-connection.ts), and the last one is left to
 * whoever looks into the VM meanwhile: a script there that waits for the simulator's answer must not keep the simulator from its work.
 */
const TARGET_PORTS = [0];

/** The models of one TrueNAS: datasets, snapshots, iSCSI, services. `services.release` decides how it behaves. */
export function createArray(services: SimServices, options: ArrayOptions): SimArray {
  const agent = options.blocks === 'lab' ? new LabAgent(vmOf(options), TARGET_PORTS) : null;
  const lab = agent !== null;
  const { blocks, luns, lio, memory, prepare } = storage(services, options, agent);
  const nvme = agent === null || services.release === '25.04' ? null : new NvmetServer(agent, options.keep ?? false);
  const pool = new PoolState(() => services.changed('pool'));
  const zfs = new ZfsState({
    pool: options.pool.name,
    size: options.pool.size,
    blocks,
    now: () => services.now(),
    // what is in a VM is kept there
    changed: () => (lab ? undefined : services.changed('zfs')),
    suspended: () => pool.suspended,
  });
  const real = lab
    ? new LabEngine(zfs, new PoolShell(new PoolConnection(vmOf(options), options.pool.name), options.pool.name), () => services.now())
    : null;
  const engine = real ?? new MemoryEngine(zfs);
  const iscsi = new IscsiState(() => services.changed('iscsi'));
  const nvmet = new NvmetState(() => services.changed('nvmet'));
  const serviceStates = new ServicesState(services.release, () => services.changed('services'));
  const core = new ArrayCore({
    services,
    zfs,
    engine,
    pool,
    iscsi,
    nvmet,
    serviceStates,
    luns,
    nvme,
    addresses: [...new Set([options.portal.host, ...(options.morePortals ?? []), '127.0.0.1'])],
    fixedPort: options.blocks === 'tgt' ? options.portal.port : null,
    zvolDeviceLag: options.zvolDeviceLag ?? 0,
  });
  let identity: Identity = newIdentity();
  seed(core, options);

  const methods: SimMethod[] = [
    ...datasetQueryMethods(core),
    ...datasetWriteMethods(core),
    ...datasetDeleteMethods(core),
    ...snapshotMethods(core),
    ...resourceMethods(core),
    ...resourceSnapshotMethods(core),
    ...globalMethods(core),
    ...portalMethods(core),
    ...initiatorMethods(core),
    ...authMethods(core),
    ...targetMethods(core),
    ...extentMethods(core),
    ...mappingMethods(core),
    ...nvmetGlobalMethods(core),
    ...nvmetSubsystemMethods(core),
    ...nvmetNamespaceMethods(core),
    ...nvmetPortMethods(core),
    ...nvmetHostMethods(core),
    ...nvmetHostLinkMethods(core),
    ...nvmetPortLinkMethods(core),
    ...serviceMethods(core),
    ...poolMethods(core),
    ...systemMethods(core, () => identity, randomUUID(), services.now()),
  ]
    .filter((one) => one.releases === undefined || one.releases.includes(services.release))
    .map((one) => (real === null ? one : upToDate(one, real)));

  return {
    methods,
    persistent: [
      ...(lab ? [] : [{ name: 'zfs', dump: () => zfs.dump(), load: (data: unknown) => zfs.load(data) }]),
      { name: 'pool', dump: () => pool.dump(), load: (data) => pool.load(data) },
      { name: 'iscsi', dump: () => iscsi.dump(), load: (data) => iscsi.load(data) },
      ...(services.release === '25.04' ? [] : [{ name: 'nvmet', dump: () => nvmet.dump(), load: (data: unknown) => nvmet.load(data) }]),
      { name: 'services', dump: () => serviceStates.dump(), load: (data) => serviceStates.load(data) },
      {
        name: 'identity',
        dump: () => identity,
        load: (data) => {
          identity = identitySchema.parse(data);
        },
      },
    ],
    setPoolFull: (full) => {
      zfs.full = full;
      zfs.version += 1;
    },
    start: async () => {
      await prepare();
      await real?.start(options.seed?.dataset ?? null);
      const volumes = zfs.datasets().filter((one) => one.type === 'VOLUME');
      await blocks.prune(new Set([...volumes.map((one) => one.guid), ...zfs.dump().snapshots.map((one) => one.guid)]));
      for (const volume of volumes) await blocks.ensure(volume.guid, bytesOf(volume, 'volsize'));
      await luns.start();
      core.addresses = [...new Set([...core.addresses, ...(lio?.addresses() ?? [])])];
      await nvme?.start();
      await core.applyExports();
      await core.applyNvmet();
    },
    stop: async () => {
      await luns.stop();
      await nvme?.stop();
      await real?.stop();
    },
    controls: {
      setPool: (status, detail) => pool.set(status, detail),
      lockDataset: (dataset, locked) => {
        const { name } = zfs.mustDataset(dataset);
        if (locked) zfs.locked.add(name);
        else zfs.locked.delete(name);
        return core.applyExports();
      },
      holdZvol: (zvol, open) => core.hold(zvol, open),
      setZvolDeviceLag: (looks) => {
        core.zvolDeviceLag = looks;
      },
      setReloadFails: (fails) => {
        core.reloadFails = fails;
      },
      openSession: (session) => memory?.openSession({ ...session, target: fullIqn(iscsi, session.target) }) ?? null,
      closeSessions: (initiator, target) => memory?.closeSessions(initiator, fullIqn(iscsi, target)) ?? 0,
      connectHost: (subsystem, hostnqn, address) => {
        const row = subsystemNamed(nvmet, subsystem);
        return row !== undefined && serviceStates.running('nvmet') && core.nvmeSessions.connect(nvmet, row, hostnqn, address) !== null;
      },
      disconnectHost: (subsystem, hostnqn) => {
        const row = subsystemNamed(nvmet, subsystem);
        return row === undefined ? 0 : core.nvmeSessions.disconnect(row.id, hostnqn);
      },
    },
  };
}

function fullIqn(iscsi: IscsiState, target: string): string {
  const named = iscsi.targets.find((one) => one.name === target);
  return named === undefined ? target : iscsi.iqn(named);
}

function subsystemNamed(nvmet: NvmetState, subsystem: string): SubsystemRecord | undefined {
  return nvmet.subsystems.find((one) => one.name === subsystem || one.subnqn === subsystem);
}

function vmOf(options: ArrayOptions): string {
  if (options.vm === undefined) throw new Error('blocks in the lab need the directory of its VM');
  return options.vm;
}

/** Whoever looks at datasets or snapshots sees what the VM has now, not what this process changed last. */
function upToDate(method: SimMethod, engine: LabEngine): SimMethod {
  if (!/^(?:pool|zfs)\./.test(method.name)) return method;
  return {
    ...method,
    run: async (args, context) => {
      await engine.refresh();
      return method.run(args, context);
    },
  };
}

interface Storage {
  readonly blocks: BlockStore;
  readonly luns: LunServer;
  readonly lio: LioLunServer | null;
  readonly memory: MemoryLunServer | null;
  readonly prepare: () => Promise<void>;
}

function storage(services: SimServices, options: ArrayOptions, agent: LabAgent | null): Storage {
  if (agent !== null) {
    const lio = new LioLunServer(agent, options.keep ?? false);
    return { blocks: new MemoryBlocks(), luns: lio, lio, memory: null, prepare: () => Promise.resolve() };
  }
  if (options.blocks !== 'tgt') {
    const memory = new MemoryLunServer(options.portal);
    return { blocks: new MemoryBlocks(), luns: memory, lio: null, memory, prepare: () => Promise.resolve() };
  }
  const files = new FileBlocks(path.join(options.directory, 'blocks'));
  const daemon = new TgtDaemon(options.directory, options.portal, (message) => services.log(message));
  return { blocks: files, luns: new TgtLunServer(daemon, files), lio: null, memory: null, prepare: () => files.prepare() };
}
