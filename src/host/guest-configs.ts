import * as z from 'zod';
import type { GuestConfig, GuestReferences, GuestReferencesPort } from '../core/guest-references.ts';
import type { Deadline } from '../core/ports.ts';
import { codeOf, type SysFiles } from './sys-files.ts';
import { within } from './waiting.ts';

/** `.members` of pmxcfs (pmxcfs(8)); without `cluster` the node stands alone and is its own quorum. */
const members = z.looseObject({
  nodename: z.string(),
  cluster: z.looseObject({ quorate: z.union([z.number(), z.boolean()]) }).optional(),
});

/** So often a directory that changes under our hands (a guest migrates) is read again. */
const ATTEMPTS = 4;
const KINDS = ['qemu-server', 'lxc'] as const;
const CONFIG = /^([1-9][0-9]{2,8})\.conf$/;
/** `storage:volume` wherever it stands in a line: after a key, an option, a blank (storage ids by PVE's rule). */
const VOLID = /(?<![A-Za-z0-9_.:/-])([A-Za-z][A-Za-z0-9\-_.]*[A-Za-z0-9]):([A-Za-z0-9][A-Za-z0-9_.:/+-]*)/g;
/** The link of a volume, as somebody may have written it into `args` or a raw option. */
const LINK = /\/dev\/pve-truenas\/([A-Za-z0-9][A-Za-z0-9\-_.]*)\/([A-Za-z0-9][A-Za-z0-9_.:+-]*)/g;

/**
 * Reads the configurations of all guests out of the cluster's file system (`/etc/pve/nodes/*`). Nothing is known unless all of it was
 * read: the file system is there, the cluster has quorum (without it the files may be old), every file could be read, and nothing moved meanwhile.
 */
export class GuestConfigs implements GuestReferencesPort {
  readonly #files: SysFiles;
  readonly #directory: string;

  constructor(files: SysFiles, directory: string) {
    this.#files = files;
    this.#directory = directory;
  }

  async read(deadline: Deadline): Promise<GuestReferences> {
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const guests = await within(this.#once(), deadline);
        if (typeof guests === 'string') return { complete: false, reason: guests };
        if (guests !== null) return { complete: true, guests };
      }
      return { complete: false, reason: `the guests in ${this.#directory}/nodes change faster than they can be read` };
    } catch (error) {
      deadline.signal.throwIfAborted();
      const code = codeOf(error);
      return {
        complete: false,
        reason: `a guest's configuration in ${this.#directory} cannot be read (${code === '' ? String(error) : code})`,
      };
    }
  }

  /** A text says why not; null: something changed meanwhile. */
  async #once(): Promise<readonly GuestConfig[] | string | null> {
    const trouble = await this.#trouble();
    if (trouble !== null) return trouble;
    const before = await this.#paths();
    if (before.length === 0 && (await this.#files.list(`${this.#directory}/nodes`)).length === 0)
      return `${this.#directory}/nodes has no node: the cluster file system is not mounted`;
    const guests: GuestConfig[] = [];
    for (const { node, kind, file } of before) {
      const text = await this.#files.read(`${this.#directory}/nodes/${node}/${kind}/${file}`);
      if (text === null) return null;
      guests.push(parseGuest(node, Number(CONFIG.exec(file)?.[1]), text));
    }
    // A guest that moves from a node not read yet to one that was read already is in neither list: then the second look differs.
    const after = await this.#paths();
    return JSON.stringify(after) === JSON.stringify(before) ? guests : null;
  }

  async #trouble(): Promise<string | null> {
    const text = await this.#files.read(`${this.#directory}/.members`);
    if (text === null) return `${this.#directory} is not the cluster file system of PVE (it has no .members)`;
    const parsed = members.safeParse(parseJson(text));
    if (!parsed.success) return `${this.#directory}/.members is not understood`;
    const { cluster } = parsed.data;
    return cluster === undefined || Number(cluster.quorate) === 1 ? null : 'the cluster has no quorum';
  }

  async #paths(): Promise<readonly { node: string; kind: string; file: string }[]> {
    const paths: { node: string; kind: string; file: string }[] = [];
    for (const node of await this.#files.list(`${this.#directory}/nodes`)) {
      for (const kind of KINDS) {
        for (const file of await this.#files.list(`${this.#directory}/nodes/${node}/${kind}`))
          if (CONFIG.test(file)) paths.push({ node, kind, file });
      }
    }
    return paths;
  }
}

/** One configuration with all its sections. Descriptions count too: a volume that is named anywhere is not nobody's. */
function parseGuest(node: string, vmid: number, text: string): GuestConfig {
  const volids = new Set<string>();
  for (const [, storage, volume] of [...text.matchAll(VOLID), ...text.matchAll(LINK)]) volids.add(`${storage ?? ''}:${volume ?? ''}`);
  // The first section alone is the guest as it is now; `lock` of a snapshot is not its state.
  const current = text.split(/^\[/m, 1)[0] ?? '';
  return { vmid, node, lock: /^lock:[ \t]*(\S+)/m.exec(current)?.[1] ?? null, volids: [...volids] };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
