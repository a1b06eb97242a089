import type { ChapAccount, ServedLun, ServedTarget } from '../../blocks/lun-server.ts';
import type { ZfsState } from '../zfs/zfs-state.ts';
import { bytesOf } from '../zfs/space.ts';
import type { IscsiState } from './iscsi-state.ts';
import type { TargetRecord } from './records.ts';

/** `zvol/tank/a+b` is the path of zvol `tank/a b`. */
export function zvolOfPath(path: string): string {
  return path.replace(/^zvol\//, '').replaceAll('+', ' ');
}

export function pathOfZvol(name: string): string {
  return `zvol/${name.replaceAll(' ', '+')}`;
}

/**
 * What the service shows when it reads the configuration now (what scst.conf would say): enabled extents whose zvol is
 * there; of two mappings at one LUN number the older; targets without a usable LUN are off (truenas-api 11).
 */
export function servedTargets(iscsi: IscsiState, zfs: ZfsState): ServedTarget[] {
  const served: ServedTarget[] = [];
  for (const target of iscsi.targets.all()) {
    const luns = new Map<number, ServedLun>();
    for (const mapping of iscsi.mappings.filter((one) => one.target === target.id)) {
      const extent = iscsi.extents.get(mapping.extent);
      if (extent === undefined || !extent.enabled || extent.type !== 'DISK' || luns.has(mapping.lunid)) continue;
      const zvol = zfs.dataset(zvolOfPath(extent.path));
      if (zvol === undefined || zvol.type !== 'VOLUME' || zfs.isLocked(zvol.name)) continue;
      luns.set(mapping.lunid, {
        lun: mapping.lunid,
        key: zvol.guid,
        device: `/dev/${pathOfZvol(zvol.name)}`,
        size: bytesOf(zvol, 'volsize'),
        serial: extent.serial,
        naa: extent.naa,
        vendor: extent.vendor,
        productId: extent.product_id ?? 'iSCSI Disk',
        blockSize: extent.blocksize,
        readOnly: extent.ro,
        rotational: extent.rpm !== 'SSD' && extent.rpm !== 'UNKNOWN',
      });
    }
    if (luns.size === 0 || target.groups.length === 0) continue;
    served.push({
      id: target.id,
      iqn: iscsi.iqn(target),
      portals: portalsOf(iscsi, target),
      luns: [...luns.values()],
      ...admission(iscsi, target),
    });
  }
  return served;
}

function portalsOf(iscsi: IscsiState, target: TargetRecord): ServedTarget['portals'] {
  const listening = target.groups.flatMap((group) => iscsi.portals.get(group.portal)?.listen ?? []);
  return [...new Set(listening)].map((ip) => ({ ip, port: iscsi.global.listen_port }));
}

function admission(iscsi: IscsiState, target: TargetRecord): Pick<ServedTarget, 'initiators' | 'incoming' | 'outgoing'> {
  const names = new Set<string>();
  let all = false;
  const incoming: ChapAccount[] = [];
  let outgoing: ChapAccount | null = null;
  for (const group of target.groups) {
    const initiators = group.initiator === null ? undefined : iscsi.initiators.get(group.initiator);
    if (initiators === undefined || initiators.initiators.length === 0) all = true;
    else for (const name of initiators.initiators) names.add(name);
    if (group.authmethod === 'NONE' || group.auth === null) continue;
    for (const auth of iscsi.auths.filter((one) => one.tag === group.auth)) {
      incoming.push({ user: auth.user, secret: auth.secret });
      if (group.authmethod === 'CHAP_MUTUAL' && auth.peeruser !== '') outgoing = { user: auth.peeruser, secret: auth.peersecret };
    }
  }
  return { initiators: all ? 'ALL' : [...names].sort(), incoming, outgoing };
}
