import type { ArrayOptions } from '../api/contract.ts';
import type { ArrayCore } from './array-core.ts';

/**
 * What an array begins with: the pool alone, or with `seed` also a dataset, a portal, an initiator group that admits
 * everybody, a target with both, and the iSCSI service running.
 */
export function seed(core: ArrayCore, options: ArrayOptions): void {
  // port 0: nobody listens (tests), the configuration keeps TrueNAS's default
  if (options.portal.port !== 0) core.iscsi.setGlobal({ ...core.iscsi.global, listen_port: options.portal.port });
  if (options.seed === undefined) return;
  core.serviceStates.set('iscsitarget', { enable: true, running: true });
  const parts = options.seed.dataset.split('/');
  for (let depth = 2; depth <= parts.length; depth += 1) {
    core.zfs.insertDataset({
      guid: core.zfs.newGuid(),
      name: parts.slice(0, depth).join('/'),
      type: 'FILESYSTEM',
      createtxg: core.zfs.nextTxg(),
      creation: core.zfs.seconds(),
      properties: {},
      userProperties: {},
      origin: null,
    });
  }
  const portal = core.iscsi.portals.insert({
    id: 1,
    tag: 1,
    comment: 'pve-truenas',
    listen: [options.portal.host, ...(options.morePortals ?? [])],
  });
  const initiator = core.iscsi.initiators.insert({ id: 1, initiators: [], comment: 'pve-truenas' });
  core.iscsi.targets.insert({
    id: 1,
    name: options.seed.target,
    alias: null,
    mode: 'ISCSI',
    groups: [{ portal: portal.id, initiator: initiator.id, authmethod: 'NONE', auth: null }],
    auth_networks: [],
    rel_tgt_id: 1,
    iscsi_parameters: null,
  });
}
