import type { StorageConfig } from '../../config/storage-config.ts';
import type { PortalAddress } from '../../core/host-port.ts';
import type { OpenOperation } from '../../core/journal-port.ts';
import type { InitiatorRecord, NodeState, TrueNasDevice, VolumePlace } from '../../core/leftovers-port.ts';
import type { StorageFacts } from './facts.ts';
import { isVolumeName } from './naming.ts';
import { type Orphan, orphanId } from './orphan.ts';

/** A configured storage as the node's leftovers are judged by it. */
export interface JudgedStorage {
  readonly id: string;
  /** null: its settings are wrong. */
  readonly config: StorageConfig | null;
  /** null: its array could not be looked at. */
  readonly facts: StorageFacts | null;
  /** Its portals as addresses; null: a name among them could not be resolved. */
  readonly portals: readonly PortalAddress[] | null;
}

export interface NodeFacts {
  /** Unix ms */
  readonly now: number;
  readonly state: NodeState;
  /** Every storage of ours in storage.cfg, disabled ones too. */
  readonly storages: readonly JudgedStorage[];
  readonly open: readonly OpenOperation[];
}

/** All orphans of this node. Pure. */
export function findNodeOrphans(facts: NodeFacts): readonly Orphan[] {
  return [
    ...openOperations(facts),
    ...facts.state.links.flatMap((place) => stalePlace(facts, place, 'link')),
    ...facts.state.records.flatMap((place) => stalePlace(facts, place, 'record')),
    ...facts.state.devices.flatMap((device) => staleDevice(facts, device)),
    ...facts.state.initiatorRecords.flatMap((record) => unusedRecord(facts, record)),
  ];
}

/** What could not be judged, in words. */
export function nodeNotes(facts: NodeFacts): readonly string[] {
  const unseen = facts.storages.filter((storage) => storage.facts === null).map((storage) => storage.id);
  return unseen.length === 0 ? [] : [`links and devices of ${unseen.join(', ')} were not judged: the storage could not be looked at`];
}

/** Operations of storages that storage.cfg no longer has: the daemon tries to settle them for ever. */
function openOperations(facts: NodeFacts): readonly Orphan[] {
  return facts.open
    .filter((operation) => !facts.storages.some((storage) => storage.id === operation.storage))
    .map((operation) => ({
      id: orphanId('open-operation', operation.zvol, operation.id),
      kind: 'open-operation',
      name: `${operation.kind} of ${operation.zvol}`,
      createdAt: Math.floor(operation.begun / 1000),
      size: null,
      reason: `the storage '${operation.storage}' of this unfinished operation is not in storage.cfg any more`,
      certainty: 'likely',
      action: 'none; the daemon goes on trying with the settings and the key that it had: put the key back, or remove the journal entry',
      data: false,
      was: { operation: operation.id, kind: operation.kind, zvol: operation.zvol, storage: operation.storage },
      subject: { type: 'report' },
    }));
}

/** A link or a record of QEMU's URL whose volume is gone. */
function stalePlace(facts: NodeFacts, place: VolumePlace, type: 'link' | 'record'): readonly Orphan[] {
  if (!isVolumeName(place.volume)) return [];
  const storage = facts.storages.find((one) => one.id === place.storage);
  if (storage !== undefined && storage.facts === null) return [];
  const seen = storage?.facts ?? null;
  const zvol = seen === null ? null : `${seen.dataset.id}/${place.volume}`;
  if (seen !== null && zvol !== null && seen.zvols.has(zvol)) return [];
  const busy = facts.open.some((operation) => operation.storage === place.storage && operation.zvol === zvol);
  const exported = seen?.extents.some((extent) => extent.naa.toLowerCase() === `0x${place.naa ?? ''}`) ?? false;
  const certain = seen !== null && !busy && !exported;
  const kind = type === 'link' ? 'stale-link' : 'stale-record';
  const what = type === 'link' ? 'link and device' : 'record';
  return [
    {
      id: orphanId(kind, zvol ?? `${place.storage}/${place.volume}`, place.storage, place.naa, place.text),
      kind,
      name: `${place.storage}/${place.volume}`,
      createdAt: null,
      size: null,
      reason:
        seen === null
          ? `there is no storage '${place.storage}' in storage.cfg`
          : `its zvol '${String(zvol)}' does not exist${exported ? ', but an extent still has its identity' : ''}${busy ? '; an operation on it is under way' : ''}`,
      certainty: certain ? 'certain' : 'likely',
      action: certain
        ? `remove the ${what} from this node, unless something uses it`
        : `none; pve-truenas cannot tell whether the ${what} is in use`,
      data: false,
      was: { storage: place.storage, volume: place.volume, naa: place.naa, text: place.text },
      subject: { type, place },
    },
  ];
}

/** A device behind one of our targets whose identity no extent of the array has. Links take theirs along, so this is only reported. */
function staleDevice(facts: NodeFacts, device: TrueNasDevice): readonly Orphan[] {
  if (facts.state.links.some((link) => link.naa === device.naa)) return [];
  const behind = facts.storages.filter((storage) => isBehind(storage, device));
  if (behind.length === 0 || behind.some((storage) => storage.facts === null)) return [];
  if (behind.some((storage) => storage.facts?.extents.some((extent) => extent.naa.toLowerCase() === `0x${device.naa}`) ?? true)) return [];
  const named = device.block === null ? device.address : `/dev/${device.block}`;
  return [
    {
      id: orphanId('stale-device', device.address, device.naa),
      kind: 'stale-device',
      name: named,
      createdAt: null,
      size: device.size,
      reason: `no extent of TrueNAS has its identity 0x${device.naa}; it belonged to ${device.iqn}`,
      certainty: 'likely',
      action: `none; when nothing uses it (lsblk ${named}): echo 1 > /sys/class/scsi_device/${device.address}/device/delete`,
      data: false,
      was: { address: device.address, block: device.block, naa: device.naa, target: device.iqn },
      subject: { type: 'report' },
    },
  ];
}

/** The device's session goes to the storage's own target at one of its own portals: another array may have the same target name (F-102). */
function isBehind(storage: JudgedStorage, device: TrueNasDevice): boolean {
  const iqn = storage.facts?.target?.iqn ?? storage.config?.target;
  if (iqn !== device.iqn) return false;
  return storage.portals?.some((portal) => device.portals.includes(`${portal.host}:${portal.port}`)) ?? true;
}

/** A node record for a target or portal that no storage uses. It may be somebody else's as well, so nobody removes it but a person. */
function unusedRecord(facts: NodeFacts, record: InitiatorRecord): readonly Orphan[] {
  if (!record.likeOurs || record.loggedIn) return [];
  // With one storage that is not understood, nothing is known to be unused.
  if (facts.storages.some((storage) => storage.config === null || storage.portals === null || storage.facts === null)) return [];
  const used = facts.storages.some(
    (storage) =>
      storage.facts?.target?.iqn === record.iqn &&
      (storage.portals?.some((portal) => portal.host === record.host && portal.port === record.port) ?? true),
  );
  if (used) return [];
  return [
    {
      id: orphanId('initiator-record', record.iqn, record.host, record.port),
      kind: 'initiator-record',
      name: `${record.iqn} at ${record.host}:${record.port}`,
      createdAt: null,
      size: null,
      reason: 'no storage uses this target at this portal, and no session stands; it has the settings that pve-truenas gives its records',
      certainty: 'unsure',
      action: `none; iscsiadm -m node -T ${record.iqn} -p ${record.host.includes(':') ? `[${record.host}]` : record.host}:${record.port} -o delete`,
      data: false,
      was: { target: record.iqn, host: record.host, port: record.port },
      subject: { type: 'report' },
    },
  ];
}
