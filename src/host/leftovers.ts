import type { HostPort } from '../core/host-port.ts';
import type { InitiatorRecord, NodeLeftovers, NodeState, TrueNasDevice, VolumePlace } from '../core/leftovers-port.ts';
import type { Deadline } from '../core/ports.ts';
import { canonicalAddress } from './addresses.ts';
import type { HostContext } from './host-context.ts';
import { naaOfLink } from './kernel/device-link.ts';
import { nodeRecords } from './kernel/node-records.ts';
import { blockSize, scsiDevices } from './kernel/scsi-devices.ts';
import { readSessions, type Session } from './kernel/sessions.ts';
import { within } from './waiting.ts';

/** How an NAA of TrueNAS begins (truenas-api 11); other LUNs of the same vendor word are not ours to judge. */
const TRUENAS_NAA = /^6589cfc[0-9a-f]{25}$/;
const VENDOR = 'TrueNAS';

/** Reads what volumes left on this node; takes links and records away as deactivating the volume would. */
export class HostLeftovers implements NodeLeftovers {
  readonly #context: HostContext;
  readonly #places: { readonly links: string; readonly records: string };
  readonly #hosts: { readonly kernel: HostPort; readonly direct: HostPort };

  constructor(context: HostContext, places: { links: string; records: string }, hosts: { kernel: HostPort; direct: HostPort }) {
    this.#context = context;
    this.#places = places;
    this.#hosts = hosts;
  }

  async read(deadline: Deadline): Promise<NodeState> {
    const work = Promise.all([
      this.#placesBelow(this.#places.links),
      this.#placesBelow(this.#places.records),
      this.#devices(),
      this.#records(),
    ]);
    const [links, records, devices, initiatorRecords] = await within(work, deadline);
    return { links, records, devices, initiatorRecords };
  }

  resolve(host: string, deadline: Deadline): Promise<readonly string[]> {
    return this.#context.resolve(host, deadline);
  }

  async removeLink(place: VolumePlace, deadline: Deadline): Promise<void> {
    await this.#hosts.kernel.detach({ storage: place.storage, volume: place.volume }, deadline);
  }

  async removeRecord(place: VolumePlace, deadline: Deadline): Promise<void> {
    await this.#hosts.direct.detach({ storage: place.storage, volume: place.volume }, deadline);
  }

  /** `<base>/<storage>/<volume>`, symbolic links alone: whatever else stands there was not made by the daemon. */
  async #placesBelow(base: string): Promise<readonly VolumePlace[]> {
    const { files } = this.#context;
    const found: VolumePlace[] = [];
    for (const storage of await files.list(base)) {
      for (const volume of await files.list(`${base}/${storage}`)) {
        const path = `${base}/${storage}/${volume}`;
        const text = await files.readLink(path);
        if (text !== null && !volume.startsWith('.')) found.push({ storage, volume, text, naa: await naaOfLink(files, path) });
      }
    }
    return found;
  }

  async #devices(): Promise<readonly TrueNasDevice[]> {
    const { files } = this.#context;
    const sessions = new Map((await readSessions(files)).map((session): [number, Session] => [session.host, session]));
    const found: TrueNasDevice[] = [];
    for (const { address, block, cachedNaa, vendor } of await scsiDevices(files)) {
      const session = sessions.get(Number(address.split(':')[0]));
      if (session === undefined || vendor !== VENDOR || cachedNaa === null || !TRUENAS_NAA.test(cachedNaa)) continue;
      const size = block === null ? null : await blockSize(files, block);
      found.push({ address, block, naa: cachedNaa, size, iqn: session.iqn, portals: session.portals });
    }
    return found;
  }

  async #records(): Promise<readonly InitiatorRecord[]> {
    const { files } = this.#context;
    const [records, sessions] = [await nodeRecords(files), await readSessions(files)];
    return records.map((record) => ({
      ...record,
      loggedIn: sessions.some(
        (session) => session.iqn === record.iqn && session.portals.includes(`${canonicalAddress(record.host)}:${record.port}`),
      ),
    }));
  }
}
