import { NO_METER } from '../../core/metrics.ts';
import type { HostContext } from '../host-context.ts';
import type { LogFields } from '../../core/ports.ts';
import { FakeCommands } from './fake-commands.ts';
import type { DmMap, FakeNodeState, FakeTarget, ScsiDevice, ServedDisk } from './fake-node-state.ts';
import { MemoryFiles } from './memory-files.ts';
import { VirtualClock } from './virtual-clock.ts';

/** Sizes and identities of TrueNAS's extents in tests: `0x6589cfc000000` + 19 digits. */
export function naaOf(digit: string): string {
  return `0x6589cfc000000${digit.repeat(19)}`;
}

/**
 * A node with the kernel's initiator, udev, multipathd and an array, in memory. It behaves as recorded from the real ones: sysfs
 * identities are caches (RP-13), sizes stay old until a rescan (RP-11), devices stay after unmapping (RP-12), LUN 0 becomes a virtual disk
 * (RP-14), udev is late (RP-10), a map's node comes after the map (RP-21), maps are busy for a moment (RP-20).
 */
export class FakeNode implements FakeNodeState {
  readonly files = new MemoryFiles();
  readonly clock = new VirtualClock();
  readonly commands = new FakeCommands(this);
  readonly warnings: { readonly message: string; readonly fields: LogFields }[] = [];
  readonly targets: FakeTarget[] = [];
  readonly names = new Map<string, readonly string[]>();
  /** Every order to the kernel by sysfs: `[path, text]`. */
  readonly writes: (readonly [path: string, text: string])[] = [];
  readonly devices = new Map<string, ScsiDevice>();
  readonly maps = new Map<string, DmMap>();
  readonly wwids = new Set<string>();

  /** ms from the scan to the device, from the device to udev's names, from a map to its node */
  scanDelay = 20;
  udevDelay = 1500;
  mapperDelay = 800;
  /** How often `multipath -f` says "in use" before it works (RP-20). */
  busyFlushes = 0;
  multipathdRuns = true;
  iscsiDatabase = '/var/lib/iscsi';
  #sessions = 0;
  #blocks = 0;
  #maps = 0;

  constructor() {
    this.files.onWrite = (path, text) => this.#kernelWrite(path, text);
    // Debian 13 brings the directory of open-iscsi's database.
    this.files.put('/var/lib/iscsi/ifaces/default', '');
  }

  get context(): HostContext {
    const quiet = (): void => undefined;
    const log = {
      debug: quiet,
      info: quiet,
      warn: (message: string, fields: LogFields = {}) => void this.warnings.push({ message, fields }),
      error: quiet,
      child: () => log,
    };
    return {
      commands: this.commands,
      files: this.files,
      clock: this.clock,
      log,
      meter: NO_METER,
      resolve: (host) => Promise.resolve(this.names.get(host) ?? [host]),
    };
  }

  addTarget(iqn: string, ...portals: readonly string[]): FakeTarget {
    const target: FakeTarget = { iqn, portals, luns: new Map(), refusals: new Map() };
    this.targets.push(target);
    return target;
  }

  targetAt(iqn: string, portal: string): FakeTarget | undefined {
    return this.targets.find((target) => target.iqn === iqn && target.portals.includes(portal));
  }

  // sessions

  sessionOf(target: FakeTarget, portal: string): boolean {
    return this.#sessionOf.has(`${target.iqn} ${portal} ${this.targets.indexOf(target)}`);
  }

  readonly #sessionOf = new Map<string, number>();
  readonly #targetOfHost = new Map<number, FakeTarget>();

  /** Makes a session as a login does; with node.session.scan = manual no LUN shows by itself. */
  login(target: FakeTarget, portal: string, state = 'LOGGED_IN'): number {
    const id = (this.#sessions += 1);
    const host = id + 2;
    const device = `/sys/devices/platform/host${host}/session${id}`;
    this.files.put(`${device}/iscsi_session/session${id}/targetname`, `${target.iqn}\n`);
    this.files.put(`${device}/iscsi_session/session${id}/state`, `${state}\n`);
    this.files.put(`${device}/iscsi_session/session${id}/target_id`, '0\n');
    this.files.putLink(
      `/sys/class/iscsi_session/session${id}`,
      `../../devices/platform/host${host}/session${id}/iscsi_session/session${id}`,
    );
    this.#portalOf.set(id, portal);
    this.#showConnection(id, 'persistent_');
    if (state === 'LOGGED_IN') this.#showConnection(id, '');
    this.files.put(`/sys/class/scsi_host/host${host}/scan`, '');
    this.#sessionOf.set(`${target.iqn} ${portal} ${this.targets.indexOf(target)}`, id);
    this.#targetOfHost.set(host, target);
    return id;
  }

  readonly #portalOf = new Map<number, string>();

  #showConnection(id: number, prefix: '' | 'persistent_'): void {
    const portal = this.#portalOf.get(id) ?? '';
    const cut = portal.lastIndexOf(':');
    this.files.put(`/sys/class/iscsi_connection/connection${id}:0/${prefix}address`, `${portal.slice(0, cut)}\n`);
    this.files.put(`/sys/class/iscsi_connection/connection${id}:0/${prefix}port`, `${portal.slice(cut + 1)}\n`);
  }

  /** A connection that is lost has no address of its own (the kernel says ENOTCONN), only the one that it was made with. */
  setSessionState(id: number, state: string): void {
    for (const name of ['address', 'port']) this.files.drop(`/sys/class/iscsi_connection/connection${id}:0/${name}`);
    if (state === 'LOGGED_IN') this.#showConnection(id, '');
    this.files.put(`/sys/devices/platform/host${id + 2}/session${id}/iscsi_session/session${id}/state`, `${state}\n`);
  }

  // SCSI devices

  /** What the LUN behind a device is now, whatever the kernel believes. */
  served(device: ScsiDevice): ServedDisk | null {
    const disk = device.target.luns.get(device.lun);
    if (disk !== undefined) return disk;
    // RP-14: LIO's virtual LUN 0
    return device.lun === 0 ? { naa: null, size: 32768 } : null;
  }

  /** The kernel finds a device, and udev names it later. */
  appear(host: number, lun: number): void {
    const target = this.#targetOfHost.get(host);
    const disk = target?.luns.get(lun);
    const address = `${host}:0:0:${lun}`;
    if (target === undefined || disk === undefined || this.devices.has(address)) return;
    const block = `sd${String.fromCharCode(97 + this.#blocks)}`;
    this.#blocks += 1;
    const digits = disk.naa.slice(2);
    this.devices.set(address, { address, block, target, lun, cachedNaa: digits });
    const device = `/sys/class/scsi_device/${address}/device`;
    this.files.put(`${device}/wwid`, `naa.${digits}\n`);
    this.files.put(`${device}/vendor`, 'TrueNAS \n');
    this.files.put(`${device}/model`, 'iSCSI Disk      \n');
    this.files.put(`${device}/state`, 'running\n');
    this.files.put(`${device}/delete`, '');
    this.files.put(`${device}/rescan`, '');
    this.files.put(`${device}/block/${block}/size`, '');
    this.files.put(`/sys/class/block/${block}/size`, `${disk.size / 512}\n`);
    this.files.put(`/sys/class/block/${block}/dev`, `8:${16 * this.#blocks}\n`);
    this.files.put(`/sys/class/block/${block}/uevent`, '');
    this.files.putBlock(`/dev/${block}`);
    this.#announce(address, block, digits);
  }

  #announce(address: string, block: string, digits: string): void {
    this.clock.after(this.udevDelay, () => {
      if (this.devices.get(address)?.block !== block) return;
      for (const name of [`wwn-0x${digits}`, `scsi-3${digits}`]) this.files.putLink(`/dev/disk/by-id/${name}`, `../../${block}`);
    });
  }

  deviceOf(block: string): ScsiDevice | undefined {
    return [...this.devices.values()].find((device) => device.block === block);
  }

  #disappear(device: ScsiDevice): void {
    this.devices.delete(device.address);
    this.files.drop(`/sys/class/scsi_device/${device.address}`);
    this.files.drop(`/sys/class/block/${device.block}`);
    this.files.drop(`/dev/${device.block}`);
    const other = [...this.devices.values()].find((left) => left.cachedNaa === device.cachedNaa);
    for (const name of [`wwn-0x${device.cachedNaa}`, `scsi-3${device.cachedNaa}`]) {
      if (other === undefined) this.files.drop(`/dev/disk/by-id/${name}`);
      else this.files.putLink(`/dev/disk/by-id/${name}`, `../../${other.block}`);
    }
    for (const map of this.maps.values()) this.files.drop(`/sys/class/block/${map.block}/slaves/${device.block}`);
  }

  #kernelWrite(path: string, text: string): boolean {
    if (!path.startsWith('/sys/')) return false;
    this.writes.push([path, text]);
    const scan = /^\/sys\/class\/scsi_host\/host(\d+)\/scan$/.exec(path);
    if (scan !== null) {
      const lun = text.split(' ')[2] ?? '-';
      const host = Number(scan[1]);
      const luns = lun === '-' ? [...(this.#targetOfHost.get(host)?.luns.keys() ?? [])] : [Number(lun)];
      this.clock.after(this.scanDelay, () => luns.forEach((number) => this.appear(host, number)));
      return true;
    }
    const announced = this.deviceOf(/^\/sys\/class\/block\/(\w+)\/uevent$/.exec(path)?.[1] ?? '');
    if (announced !== undefined) {
      this.#announce(announced.address, announced.block, announced.cachedNaa);
      return true;
    }
    const order = /^\/sys\/class\/scsi_device\/([\d:]+)\/device\/(delete|rescan)$/.exec(path);
    const device = this.devices.get(order?.[1] ?? '');
    if (order === null || device === undefined) return false;
    if (order[2] === 'delete') this.#disappear(device);
    else this.files.put(`/sys/class/block/${device.block}/size`, `${(this.served(device)?.size ?? 0) / 512}\n`);
    return true;
  }

  // multipath

  addMap(naa: string, name = `3${naa}`): DmMap {
    const existing = this.maps.get(naa);
    const map = existing ?? { block: `dm-${(this.#maps += 1)}`, name, naa };
    this.maps.set(naa, map);
    const sys = `/sys/class/block/${map.block}`;
    for (const device of this.devices.values()) {
      if (device.cachedNaa !== naa) continue;
      this.files.put(`${sys}/slaves/${device.block}`, '');
      this.files.put(`/sys/class/block/${device.block}/holders/${map.block}`, '');
    }
    if (existing !== undefined) return map;
    this.files.put(`${sys}/dm/uuid`, `mpath-3${naa}\n`);
    this.files.put(`${sys}/dm/name`, `${name}\n`);
    this.files.put(`${sys}/dev`, `253:${this.#maps}\n`);
    this.resizeMap(naa);
    this.files.putBlock(`/dev/${map.block}`);
    this.clock.after(this.mapperDelay, () => {
      if (!this.maps.has(naa)) return;
      this.files.putLink(`/dev/mapper/${name}`, `../${map.block}`);
      // udev gives the names of the paths to their map
      for (const link of [`wwn-0x${naa}`, `scsi-3${naa}`]) this.files.putLink(`/dev/disk/by-id/${link}`, `../../${map.block}`);
    });
    return map;
  }

  /** A map takes the size that the kernel shows for its paths (RP-11). */
  resizeMap(naa: string): void {
    const map = this.maps.get(naa);
    const path = [...this.devices.values()].find((device) => device.cachedNaa === naa);
    if (map === undefined || path === undefined) return;
    void this.files
      .read(`/sys/class/block/${path.block}/size`)
      .then((size) => this.files.put(`/sys/class/block/${map.block}/size`, `${size ?? '0'}\n`));
  }

  dropMap(map: DmMap): void {
    this.maps.delete(map.naa);
    this.files.drop(`/sys/class/block/${map.block}`);
    this.files.drop(`/dev/${map.block}`);
    this.files.drop(`/dev/mapper/${map.name}`);
    for (const device of this.devices.values()) {
      this.files.drop(`/sys/class/block/${device.block}/holders/${map.block}`);
      if (device.cachedNaa !== map.naa) continue;
      for (const link of [`wwn-0x${map.naa}`, `scsi-3${map.naa}`]) this.files.putLink(`/dev/disk/by-id/${link}`, `../../${device.block}`);
    }
  }
}
